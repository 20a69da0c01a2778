-- Leases: `leases` (lease → worker) and `until` (lease → not to be condemned before then; 0: it was, and is dead).

local LEASES, UNTIL = P .. "leases", P .. "until"

local function alive(lease)
  local score = call("ZSCORE", UNTIL, lease)
  return score and tonumber(score) > 0
end

-- lease
function guards.alive(from) return alive(ARGV[from]) end

-- lease: it was not condemned
function guards.pardoned(from)
  local score = call("ZSCORE", UNTIL, ARGV[from])
  return not score or tonumber(score) > 0
end

-- lease, worker, seconds
function steps.lease_open(from)
  call("ZADD", UNTIL, format("%.6f", now + ARGV[from + 2]), ARGV[from])
  call("HSET", LEASES, ARGV[from], ARGV[from + 1])
end

-- seconds, lease…: answers those that are not alive
function steps.lease_renew(from, to)
  local dead = {}
  for at = from + 1, to do
    if alive(ARGV[at]) then
      call("ZADD", UNTIL, format("%.6f", now + ARGV[from]), ARGV[at])
    else
      dead[#dead + 1] = ARGV[at]
    end
  end
  return dead
end

-- lease: answers the worker if it is alive
function steps.lease_owner(from) return alive(ARGV[from]) and call("HGET", LEASES, ARGV[from]) end

-- seconds ahead
function steps.lease_lapsed(from) return call("ZRANGEBYSCORE", UNTIL, "-inf", format("%.6f", now + ARGV[from])) end

-- lease…: answers those that are dead now
function steps.lease_condemn(from, to)
  local dead = {}
  for at = from, to do
    local score = tonumber(call("ZSCORE", UNTIL, ARGV[at]) or "inf")
    if score <= now then
      call("ZADD", UNTIL, 0, ARGV[at])
      dead[#dead + 1] = ARGV[at]
    end
  end
  return dead
end

-- lease…
function steps.lease_close(from, to)
  call("ZREM", UNTIL, unpack(ARGV, from, to))
  call("HDEL", LEASES, unpack(ARGV, from, to))
end
