"""TinyDB for its callers, without its rewriting of everything at every change.

Stock TinyDB 4.9.0 re-keys and stores the whole table in `Table._update_table`. This one hands the updater a draft
that notes what it touches, and gives only the changed documents to a sink (the journal) before they count.
What is private in TinyDB and used here is held by tests/archive/test_tinydb_contract.py; the version is pinned.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import orjson
from tinydb import TinyDB
from tinydb.storages import Storage
from tinydb.table import Document as TinyDocument
from tinydb.table import Table

from engine.archive.snapshot import Document, Stored, Tables

Changes = dict[str, dict[str, Document | None] | None]
"""Table -> document's id -> the whole new document, or None where it is removed; None instead of a table drops it."""

Encoded = dict[str, dict[str, Stored | None] | None]
"""The same, with documents as they are stored."""

Sink = Callable[[bytes], None]
"""Takes changes as JSON and returns when they are on disk; if it raises, nothing is changed."""


class JournalStorage(Storage):
    """All tables in memory. Changes come as documents and count once the sink has them."""

    def __init__(self, tables: Tables, sink: Sink) -> None:
        super().__init__()
        self.tables = tables
        self._sink = sink
        self._ids: dict[str, dict[str, str]] = {}

    def read(self) -> Tables | None:
        """The tables themselves: nobody may change them in place."""
        return self.tables or None

    def write(self, data: Mapping[str, Mapping[str, Any]]) -> None:
        """Refuses: no caller stores whole tables, unless TinyDB has changed underneath."""
        raise NotImplementedError("this TinyDB stores whole tables: its private interface has changed")

    def change(self, changes: Changes, store: Callable[[bytes], None] | None = None) -> None:
        """Store changed documents, then count them. Raises whatever the sink raises; then nothing is changed.

        Args:
            store: instead of the sink.
        """
        encoded = encode_changes(changes)
        (store or self._sink)(as_json(encoded))
        replay(self.tables, encoded)
        for name, table in changes.items():
            ids = self._ids.get(name)
            if ids is not None:
                self._note(ids, table or {})

    def doc_id(self, name: str, id: str) -> str | None:
        """TinyDB's id of the document that names itself `id`."""
        table = self.tables.get(name, {})
        if name not in self._ids:
            self._note(self._ids.setdefault(name, {}), table)
        doc_id = self._ids[name].get(id)
        return doc_id if doc_id in table and table[doc_id].get("id") == id else None

    @staticmethod
    def _note(ids: dict[str, str], table: Mapping[str, Mapping[str, Any] | None]) -> None:
        for doc_id, document in table.items():
            if document is not None and isinstance(id := document.get("id"), str):
                ids[id] = doc_id


def encode_changes(changes: Changes) -> Encoded:
    """Changed documents as they are stored. Raises TypeError for what is no JSON."""
    return {
        name: None
        if table is None
        else {i: None if document is None else Stored(orjson.dumps(document)) for i, document in table.items()}
        for name, table in changes.items()
    }


def as_json(encoded: Encoded) -> bytes:
    """Changes as they stand in a record."""
    return orjson.dumps(encoded, default=lambda stored: orjson.Fragment(stored.data))


def replay(tables: Tables, encoded: Encoded) -> None:
    """Apply changes to tables; doing it twice is doing it once."""
    for name, table in encoded.items():
        if table is None:
            tables.pop(name, None)
            continue
        documents = tables.setdefault(name, {})
        for doc_id, document in table.items():
            if document is None:
                documents.pop(doc_id, None)
            else:
                documents[doc_id] = document


class _AnyDocument(type):
    """TinyDB asks `isinstance(document, table.document_class)`: a caller's stock Document is meant, too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, TinyDocument)


class OwnDocument(TinyDocument, metaclass=_AnyDocument):
    """A document that a caller may change: it shares nothing with the table."""

    def __init__(self, value: Mapping[str, Any], doc_id: int) -> None:
        super().__init__(value.load() if isinstance(value, Stored) else value, doc_id)


class JournalTable(Table):
    """A table whose changes cost what the changed documents cost."""

    document_class = OwnDocument

    def _update_table(self, updater: Callable[[Any], None]) -> None:
        storage = self._storage
        assert isinstance(storage, JournalStorage)
        draft = Draft(storage.tables.get(self.name, {}))
        updater(draft)
        changes = draft.changes()
        if changes or self.name not in storage.tables:
            storage.change({self.name: changes})
        self.clear_cache()

    def new_id(self) -> str:
        """TinyDB's id for the next document."""
        return str(self._get_next_id())  # type: ignore[no-untyped-call]


class Database(TinyDB):
    """A TinyDB over a `JournalStorage`."""

    table_class = JournalTable

    def __init__(self, storage: JournalStorage) -> None:
        self._journal_storage = storage
        super().__init__(storage=lambda: storage)

    def drop_table(self, name: str) -> None:
        """Drop one table."""
        if name in self._journal_storage.tables:
            self._journal_storage.change({name: None})
        self._tables.pop(name, None)

    def drop_tables(self) -> None:
        """Drop all tables."""
        if self._journal_storage.tables:
            self._journal_storage.change(dict.fromkeys(self._journal_storage.tables))
        self._tables.clear()


class Draft(MutableMapping[int, MutableMapping[str, Any]]):
    """A table as TinyDB's updaters see it: integer ids, documents they may change, nothing copied before."""

    def __init__(self, table: Mapping[str, Stored]) -> None:
        self._table = table
        self._touched: dict[int, MutableMapping[str, Any] | None] = {}

    def changes(self) -> dict[str, Document | None]:
        """What became different."""
        found: dict[str, Document | None] = {}
        for doc_id, document in self._touched.items():
            if not isinstance(document, DraftDocument):
                found[str(doc_id)] = None if document is None else dict(document)
            elif document.changed():
                found[str(doc_id)] = document.whole()
        return found

    def __getitem__(self, doc_id: int) -> MutableMapping[str, Any]:
        if doc_id not in self._touched:
            self._touched[doc_id] = DraftDocument(self._table[str(doc_id)])
        document = self._touched[doc_id]
        if document is None:
            raise KeyError(doc_id)
        return document

    def __setitem__(self, doc_id: int, document: MutableMapping[str, Any]) -> None:
        self._touched[doc_id] = document

    def __delitem__(self, doc_id: int) -> None:
        if doc_id not in self:
            raise KeyError(doc_id)
        if str(doc_id) in self._table:
            self._touched[doc_id] = None
        else:
            del self._touched[doc_id]

    def __contains__(self, doc_id: object) -> bool:
        if isinstance(doc_id, int) and doc_id in self._touched:
            return self._touched[doc_id] is not None
        return str(doc_id) in self._table

    def clear(self) -> None:
        """Remove all documents at once."""
        self._touched = {int(key): None for key in self._table}

    def __iter__(self) -> Iterator[int]:
        for key in self._table:
            if self._touched.get(int(key), self) is not None:
                yield int(key)
        yield from [i for i, d in self._touched.items() if d is not None and str(i) not in self._table]

    def __len__(self) -> int:
        return sum(1 for _ in self)


class DraftDocument(MutableMapping[str, Any]):
    """A document copied where it is changed: reading a plain value copies nothing."""

    def __init__(self, document: Stored) -> None:
        self._document = document
        self._own: Document = {}
        self._removed: set[str] = set()

    def changed(self) -> bool:
        """Whether it differs from the stored one."""
        before = self._document.load() if self._own else {}
        return bool(self._removed) or any(
            key not in before or orjson.dumps(before[key]) != orjson.dumps(value) for key, value in self._own.items()
        )

    def whole(self) -> Document:
        """The document as it is now."""
        document = self._document.load()
        for key in self._removed:
            document.pop(key, None)
        return {**document, **self._own}

    def __getitem__(self, key: str) -> Any:
        if key in self._own:
            return self._own[key]
        if key in self._removed:
            raise KeyError(key)
        value = self._document[key]
        if isinstance(value, dict | list):
            self._own[key] = value
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self._own[key] = value

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._own.pop(key, None)
        if key in self._document:
            self._removed.add(key)

    def __contains__(self, key: object) -> bool:
        return key in self._own or (key in self._document and key not in self._removed)

    def __iter__(self) -> Iterator[str]:
        yield from self.whole()

    def __len__(self) -> int:
        return sum(1 for _ in self)
