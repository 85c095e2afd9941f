"""One row says everything of a file: documents, generations, links and blocks agree with the table."""

from pathlib import Path

from mesh.host.files.document import FILES, parse_document
from mesh.host.files.generation import generation_files
from mesh.host.files.managed import MANAGED, Applied, Secrets, applied_as, managed
from mesh.host.files.rendered import link_target
from mesh.host.places import Places
from tests.unit.host import documents as example


def test_a_document_holds_the_tables_files_in_its_order() -> None:
    assert tuple(row.path for row in MANAGED if row.in_document) == FILES
    assert list(parse_document(example.document().encode()).files) == list(FILES)


def test_a_generation_holds_a_file_for_each_row_but_what_is_made_on_the_spot() -> None:
    names = set(generation_files(parse_document(example.document().encode())))
    assert names - {"document", "manifest.json"} == {
        row.name for row in MANAGED if row.applied is not Applied.MADE
    }


def test_names_and_paths_are_given_once() -> None:
    assert len({row.name for row in MANAGED}) == len({row.path for row in MANAGED}) == len(MANAGED)
    assert all(managed(row.path) == row for row in MANAGED)


def test_only_files_with_secrets_are_rendered_and_only_root_reads_them() -> None:
    assert {row for row in MANAGED if row.secrets is Secrets.KEY_STORE} == set(applied_as(Applied.RENDERED))
    assert {row.mode for row in applied_as(Applied.RENDERED)} == {0o600}


def test_links_follow_the_commit_by_themselves_but_to_what_is_rendered(tmp_path: Path) -> None:
    places = Places(tmp_path)
    targets = {row.name: link_target(places, row) for row in applied_as(Applied.LINK, Applied.RENDERED)}
    assert targets.pop("wg0.conf") == f"{places.state}/wg0.conf"
    assert targets == {name: f"{places.current}/{name}" for name in targets}
