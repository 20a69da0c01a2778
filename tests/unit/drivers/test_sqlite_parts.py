"""The parts of the SQLite driver that need no file: its URL, its error table, its view of the mount table."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from penstock.core.errors import ConfigurationError, StorageError, Unavailable
from penstock.drivers import sqlfile
from penstock.drivers.sqlite import open_driver
from penstock.drivers.sqlite.errors import translated
from penstock.drivers.sqlite.place import refuse_network, type_of


class TestUrl:
    def test_three_slashes_name_a_file_in_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert open_driver("sqlite:///penstock.db").path == str(tmp_path / "penstock.db")
        assert open_driver("sqlite:///data/p.db").path == str(tmp_path / "data" / "p.db")

    def test_four_slashes_name_an_absolute_path(self) -> None:
        assert open_driver("sqlite:////var/lib/shop/tasks.db").path == "/var/lib/shop/tasks.db"

    def test_escapes_in_the_path_are_read(self) -> None:
        assert open_driver("sqlite:////srv/my%20tasks%3F.db").path == "/srv/my tasks?.db"

    @pytest.mark.parametrize(
        ("url", "fault"),
        [
            ("sqlite://", "names no file"),
            ("sqlite:///", "names no file"),
            ("sqlite:///:memory:", "memory://"),
            ("sqlite://host/p.db", "names a host"),
            ("redis://host/0", "not an sqlite URL"),
            ("sqlite:///p.db?timout=3", "unknown option 'timout'"),
            ("sqlite:///p.db?timeout=soon", "timeout must be a number"),
            ("sqlite:///p.db?timeout=-1", "timeout must be a number"),
            ("sqlite:///p.db?timeout=nan", "timeout must be a number"),
        ],
    )
    def test_a_wrong_url_is_refused_with_its_fault(self, url: str, fault: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            open_driver(url)
        assert fault in str(caught.value)

    def test_all_faults_of_a_url_are_told_at_once(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            open_driver("sqlite://host/?a=1&b=2")
        assert len(caught.value.faults) == 4


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "kind", "advice"),
        [
            (sqlite3.SQLITE_BUSY, Unavailable, "end its transaction"),
            (sqlite3.SQLITE_BUSY | 2 << 8, Unavailable, "end its transaction"),  # SQLITE_BUSY_SNAPSHOT
            (sqlite3.SQLITE_FULL, Unavailable, "free some space"),
            (sqlite3.SQLITE_IOERR | 3 << 8, Unavailable, "the disk reports an error"),
            (sqlite3.SQLITE_CORRUPT, StorageError, "backup"),
            (sqlite3.SQLITE_NOTADB, StorageError, "not an SQLite database"),
            (sqlite3.SQLITE_READONLY, StorageError, "write access"),
            (sqlite3.SQLITE_CANTOPEN, StorageError, "directory"),
        ],
    )
    def test_an_error_about_the_file_becomes_ours_in_one_line_with_its_path(
        self, code: int, kind: type[Exception], advice: str
    ) -> None:
        error = sqlite3.OperationalError("what SQLite says")
        error.sqlite_errorcode = code
        ours = translated(error, "/data/p.db")
        assert type(ours) is kind
        assert ours.__cause__ is error
        text = str(ours)
        assert text.startswith("/data/p.db ")
        assert advice in text
        assert "\n" not in text

    @pytest.mark.parametrize(
        ("number", "kind", "advice"),
        [
            (errno.EACCES, StorageError, "write access"),
            (errno.EROFS, StorageError, "write access"),
            (errno.ENOSPC, Unavailable, "free some space"),
            (errno.EMFILE, Unavailable, "open files"),
        ],
    )
    def test_an_error_of_the_system_names_the_file_it_is_about(
        self, number: int, kind: type[Exception], advice: str
    ) -> None:
        ours = translated(OSError(number, "what the system says", "/data/p.db-lock"), "/data/p.db")
        assert type(ours) is kind
        assert str(ours).startswith("/data/p.db-lock ")
        assert advice in str(ours)

    def test_other_errors_stay_as_they_are(self) -> None:
        mistake = sqlite3.OperationalError('near "SELEKT": syntax error')
        mistake.sqlite_errorcode = sqlite3.SQLITE_ERROR
        for error in (mistake, sqlite3.ProgrammingError("closed"), LookupError("x"), TimeoutError()):
            assert translated(error, "/data/p.db") is error

    def test_what_was_rolled_back_was_provably_not_sent(self) -> None:
        for code, unsent in ((sqlite3.SQLITE_BUSY, True), (sqlite3.SQLITE_FULL, True), (sqlite3.SQLITE_IOERR, False)):
            error = sqlite3.OperationalError("x")
            error.sqlite_errorcode = code
            ours = translated(error, "p")
            assert isinstance(ours, Unavailable)
            assert ours.unsent is unsent


MOUNTS = [
    ("/", "ext4"),
    ("/home", "nfs4"),
    ("/home/me/local", "xfs"),
    ("/mnt/share", "cifs"),
    ("/mnt/ssh", "fuse.sshfs"),
    ("/mnt/over", "nfs"),
    ("/mnt/over", "tmpfs"),
    ("/homework", "btrfs"),
]


class TestPlace:
    @pytest.mark.parametrize(
        ("directory", "kind"),
        [
            ("/srv/app", "ext4"),
            ("/home", "nfs4"),
            ("/home/me", "nfs4"),
            ("/home/me/local", "xfs"),
            ("/homework/data", "btrfs"),
            ("/mnt/over/x", "tmpfs"),
        ],
    )
    def test_the_longest_mount_point_tells_and_of_equal_ones_the_last(self, directory: str, kind: str) -> None:
        assert type_of(directory, MOUNTS) == kind

    @pytest.mark.parametrize("path", ["/home/me/p.db", "/mnt/share/p.db", "/mnt/ssh/deep/p.db"])
    def test_a_network_file_system_is_refused_saying_why_and_what_instead(self, path: str) -> None:
        with pytest.raises(StorageError) as caught:
            refuse_network(path, lambda: MOUNTS)
        assert path in str(caught.value)
        assert "network file system" in str(caught.value)
        assert "local disk" in str(caught.value)

    @pytest.mark.parametrize("path", ["/srv/p.db", "/home/me/local/p.db", "/mnt/over/p.db"])
    def test_a_local_file_system_is_fine(self, path: str) -> None:
        refuse_network(path, lambda: MOUNTS)

    def test_where_the_system_does_not_tell_nothing_is_refused(self) -> None:
        refuse_network("/anywhere/p.db", list)


class TestSqlFile:
    def test_sections_are_found_by_name(self) -> None:
        statements = sqlfile.load("penstock.brokers", "sql/sqlite.sql")
        assert statements["holder"].startswith("SELECT lease FROM messages")
        assert not statements["holder"].endswith(";")

    def test_a_schema_is_split_into_its_statements(self) -> None:
        text = "CREATE TABLE a (x);\n\nCREATE INDEX b ON a (x);\n"
        assert sqlfile.split(text) == ["CREATE TABLE a (x)", "CREATE INDEX b ON a (x)"]
