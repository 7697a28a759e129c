"""The archive's TinyDB answers as the stock one does, and the private parts it builds on are as they were."""

import hashlib
import inspect
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tinydb import TinyDB, where
from tinydb.operations import add, delete, increment
from tinydb.storages import MemoryStorage
from tinydb.table import Document, Table

from engine.archive.database import Database, JournalStorage, encode_changes, replay
from engine.archive.folder import RunFolder
from engine.archive.snapshot import Stored
from engine.archive.store import Archive
from tests.archive.conftest import candidate, change

SEAM = {
    "_update_table": "38caea1438f9f4c8",
    "_read_table": "c2eb8da7a59e79f6",
    "_get_next_id": "261a7b28dab880e0",
}


def test_the_private_parts_of_tinydb_are_those_this_was_written_for() -> None:
    """An upgrade fails here: read the new `Table` before the archive is trusted to it."""
    assert version("tinydb") == "4.9.0"
    found = {name: hashlib.sha256(inspect.getsource(getattr(Table, name)).encode()).hexdigest()[:16] for name in SEAM}
    assert found == SEAM


def test_every_change_of_a_table_goes_through_the_seam() -> None:
    """All writers of `Table` call `_update_table`, and a TinyDB that stored whole tables would be refused."""
    source = inspect.getsource(Table)
    assert source.count("self._storage.write(") == 1
    assert source.count("self._update_table(") == 10
    with pytest.raises(NotImplementedError, match="private interface"):
        JournalStorage({}, lambda stored: None).write({})


def test_a_stock_tinydb_opens_the_snapshot(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    archive.commit([change("candidates", candidate(i)) for i in range(3)], [])
    archive.close()
    with TinyDB(run_folder.archive, access_mode="r") as stock:
        assert stock.tables() == {"candidates", "journal"}
        assert stock.table("candidates").get(where("id") == "c001") == candidate(1)
        assert stock.table("candidates").all() == archive.database.table("candidates").all()


def test_a_change_stores_the_changed_documents_alone() -> None:
    stored: list[Any] = []
    tables = {"t": {str(i): Stored(orjson.dumps({"n": i, "deep": {"list": [i]}})) for i in range(100)}}
    database = Database(JournalStorage(tables, lambda data: stored.append(orjson.loads(data))))
    table = database.table("t")
    table.update({"x": 1}, where("n") == 7)
    table.update(lambda document: document["deep"]["list"].append(1), where("deep").list.any([8]))
    table.insert({"n": 100})
    table.remove(where("n") == 3)
    table.update({"n": 5}, where("n") == 5)
    assert stored == [
        {"t": {"7": {"n": 7, "deep": {"list": [7]}, "x": 1}}},
        {"t": {"8": {"n": 8, "deep": {"list": [8, 1]}}}},
        {"t": {"100": {"n": 100}}},
        {"t": {"3": None}},
    ]


def test_a_change_that_is_refused_is_not_made() -> None:
    def full(stored: bytes) -> None:
        raise OSError("full")

    database = Database(JournalStorage({"t": {"1": Stored(b'{"deep":{"n":1}}')}}, full))
    changes: list[Callable[[], object]] = [
        lambda: database.table("t").insert({"n": 2}),
        lambda: database.table("t").update(lambda document: document["deep"].update(n=2)),
        lambda: database.table("t").truncate(),
        lambda: database.drop_tables(),
        lambda: database.drop_table("t"),
    ]
    for number, make in enumerate(changes):
        with pytest.raises(OSError, match="full"):
            make()
        assert database.table("t").all() == [{"deep": {"n": 1}}], number


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
    max_leaves=4,
)
fields = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
names = st.sampled_from(["t", "u"])
doc_ids = st.lists(st.integers(1, 6), max_size=3, unique=True)
queries = st.sampled_from(
    [where("a").exists(), where("b") == 1, where("a").x.exists(), where("c").test(lambda v: isinstance(v, list))]
)


def grow(document: Any) -> None:
    """Changes a document in depth, as an operation of a caller may."""
    if isinstance(document.get("a"), list):
        document["a"].append(7)
    document["n"] = document.get("n", 0) + 1


class JsonInMemory(MemoryStorage):
    """As a file of JSON would keep it: documents never share what is in them, which in stock's memory they do."""

    def write(self, data: dict[str, Any]) -> None:
        super().write(orjson.loads(orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS)))


class SameAsStock(RuleBasedStateMachine):
    """Any calls in any order: the same answers, the same tables, and the journal repeats them."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: list[bytes] = []
        self.storage = JournalStorage({}, self.stored.append)
        self.ours, self.stock = Database(self.storage), TinyDB(storage=JsonInMemory)

    def both(self, call: Callable[[TinyDB], Any]) -> None:
        answers = []
        for database in (self.ours, self.stock):
            try:
                answers.append(call(database))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                answers.append(type(error))
        assert answers[0] == answers[1]

    @rule(name=names, document=fields)
    def insert(self, name: str, document: Any) -> None:
        self.both(lambda database: database.table(name).insert(orjson.loads(orjson.dumps(document))))

    @rule(name=names, documents=st.lists(fields, max_size=3))
    def insert_many(self, name: str, documents: Any) -> None:
        self.both(lambda database: database.table(name).insert_multiple(orjson.loads(orjson.dumps(documents))))

    @rule(name=names, document=fields, doc_id=st.integers(1, 9))
    def upsert_by_id(self, name: str, document: Any, doc_id: int) -> None:
        self.both(lambda d: d.table(name).upsert(Document(orjson.loads(orjson.dumps(document)), doc_id)))

    @rule(name=names, document=fields, query=queries)
    def upsert(self, name: str, document: Any, query: Any) -> None:
        self.both(lambda database: database.table(name).upsert(orjson.loads(orjson.dumps(document)), query))

    @rule(name=names, document=fields, query=st.none() | queries)
    def update(self, name: str, document: Any, query: Any) -> None:
        self.both(lambda database: database.table(name).update(orjson.loads(orjson.dumps(document)), query))

    @rule(name=names, ids=doc_ids, document=fields)
    def update_by_ids(self, name: str, ids: list[int], document: Any) -> None:
        self.both(lambda d: d.table(name).update(orjson.loads(orjson.dumps(document)), doc_ids=ids))

    @rule(name=names, query=queries)
    def update_in_depth(self, name: str, query: Any) -> None:
        self.both(lambda database: database.table(name).update(grow, query))
        self.both(lambda database: database.table(name).update_multiple([(increment("n"), where("n") > 1)]))
        self.both(lambda database: database.table(name).update(delete("n"), where("n") > 3))
        self.both(lambda database: database.table(name).update(add("n", 2), where("n").exists()))

    @rule(name=names, query=queries)
    def remove(self, name: str, query: Any) -> None:
        self.both(lambda database: database.table(name).remove(query))

    @rule(name=names, ids=doc_ids)
    def remove_by_ids(self, name: str, ids: list[int]) -> None:
        self.both(lambda database: database.table(name).remove(doc_ids=ids))

    @rule(name=names)
    def truncate(self, name: str) -> None:
        self.both(lambda database: database.table(name).truncate())

    @rule(name=st.none() | names)
    def drop(self, name: str | None) -> None:
        self.both(lambda database: database.drop_tables() if name is None else database.drop_table(name))

    @rule(name=names, query=queries, ids=doc_ids)
    def ask(self, name: str, query: Any, ids: list[int]) -> None:
        self.both(lambda database: database.table(name).search(query))
        self.both(lambda database: database.table(name).count(query))
        self.both(lambda database: database.table(name).get(doc_ids=ids))
        self.both(lambda database: [document.doc_id for document in database.table(name)])
        self.both(lambda database: database.tables())

    @rule(name=names)
    def change_what_was_read(self, name: str) -> None:
        for document in self.ours.table(name):
            document.clear()
            document["mine"] = 1

    @invariant()
    def the_tables_are_equal(self) -> None:
        for name in ("t", "u"):
            assert self.ours.table(name).all() == self.stock.table(name).all()

    @invariant()
    def the_journal_repeats_them(self) -> None:
        again: Any = {}
        for stored in self.stored:
            replay(again, encode_changes(orjson.loads(stored)))
        assert again == self.storage.tables


SameAsStock.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
test_any_calls_answer_as_stock_tinydb_does = SameAsStock.TestCase


def test_the_whole_archive_is_a_tinydb_to_its_callers(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "archive.json")
    database = archive.database
    assert isinstance(database, TinyDB)
    doc_id = database.table("candidates").insert({"id": "c000", "overall": 1.0})
    database.table("candidates").update({"overall": 2.0}, doc_ids=[doc_id])
    archive.commit([change("candidates", {"id": "c000", "name": "x"})], [])
    assert database.table("candidates").search(where("overall") > 1) == [{"id": "c000", "overall": 2.0, "name": "x"}]
    assert archive.candidate("c000")["name"] == "x"
    archive.close()
    assert Archive.open(tmp_path / "archive.json").database.table("candidates").get(doc_id=doc_id) is not None
