#!/bin/sh
# Installs the programs that the tests start, where one is missing and that is possible (Debian, Ubuntu; as root or
# with sudo that asks for nothing). No service of the system is started: the tests start servers of their own.
# What is missing afterwards is said in one line, and the tests that need it fail with the same words.
PATH=$PATH:/usr/sbin:/usr/local/sbin
for folder in /usr/lib/postgresql/*/bin; do PATH=$PATH:$folder; done

# Prints the packages of which no program is there.
missing() {
    while read -r package programs; do
        found=
        for program in $programs; do command -v "$program" >/dev/null && found=yes; done
        [ "$found" ] || printf '%s ' "$package"
    done <<END
chromium chromium chromium-browser google-chrome
redis-server redis-server
rabbitmq-server rabbitmq-server
postgresql initdb
pgbouncer pgbouncer
amqp-tools amqp-consume
nginx nginx
haproxy haproxy
openssl openssl
END
}

packages=$(missing)
[ "$packages" ] || exit 0
echo "Installing for the tests: $packages"
[ "$(id -u)" = 0 ] || sudo='sudo -n'
# shellcheck disable=SC2086
$sudo sh -c '
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap "rm -f $policy" EXIT
        printf "#!/bin/sh\nexit 101\n" >$policy && chmod +x $policy
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"' sh $packages >/dev/null 2>&1
packages=$(missing)
[ ! "$packages" ] || echo "Some tests will fail without: apt-get install $packages" >&2
