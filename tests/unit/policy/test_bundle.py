from pathlib import Path

import pytest
from tests.fakes.policies import MASKS, TARGETS, policy_text

from holdpoint.domain.refusal import ConfigError
from holdpoint.policy.bundle import load_bundle
from holdpoint.policy.checks import check

RULE = "name: r, effect: allow, match: {verbs: [ping]}"


def write(folder, name, text):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def hash_of(*files):
    return load_bundle(files, targets=TARGETS).hash


def test_hash_is_of_names_and_bytes(tmp_path):
    first = write(tmp_path, "one/a.yaml", policy_text(RULE))
    same = write(tmp_path, "two/a.yaml", policy_text(RULE))
    named = write(tmp_path, "three/b.yaml", policy_text(RULE))
    changed = write(tmp_path, "four/a.yaml", policy_text(RULE) + "# a comment\n")
    assert hash_of(first).startswith("sha256:")
    assert hash_of(first) == hash_of(same)
    assert len({hash_of(first), hash_of(named), hash_of(changed)}) == 3


def test_hash_does_not_depend_on_order(tmp_path):
    a = write(tmp_path, "a.yaml", policy_text(RULE))
    b = write(tmp_path, "masks/b.yaml", MASKS)
    assert hash_of(a, b) == hash_of(b, a)


def test_hash_tells_where_one_file_ends(tmp_path):
    # Names and bytes of both, written one after the other without lengths, are the same.
    text = policy_text(RULE) + "#"
    one = [write(tmp_path, "1/a.yaml", text), write(tmp_path, "1/b.yaml", "\n#b.yaml\n" + MASKS)]
    two = [write(tmp_path, "2/a.yaml", text + "b.yaml\n#"), write(tmp_path, "2/b.yaml", "\n" + MASKS)]
    joined = ["".join(f"{file.name}{file.read_text()}" for file in files) for files in (one, two)]
    assert joined[0] == joined[1]
    assert hash_of(*one) != hash_of(*two)


def test_files_are_named_below_the_folder_they_share(tmp_path):
    a = write(tmp_path, "a.yaml", policy_text(RULE))
    b = write(tmp_path, "masks/b.yaml", MASKS)
    bundle = load_bundle([a, b], targets=TARGETS)
    assert list(bundle.files) == ["a.yaml", "masks/b.yaml"]
    assert bundle.policies[0].where == "a.yaml:3"


def test_relative_and_absolute_paths_give_the_same_bundle(tmp_path, monkeypatch):
    file = write(tmp_path, "sub/a.yaml", policy_text(RULE))
    monkeypatch.chdir(tmp_path)
    assert hash_of(Path("sub/../sub/a.yaml")) == hash_of(file)


@pytest.mark.failure("F-bundle-start")
@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        pytest.param(lambda _: [], "holds no policy", id="no files"),
        pytest.param(lambda d: [write(d, "m.yaml", MASKS)], "holds no policy", id="masks alone"),
        pytest.param(lambda d: [d / "none.yaml"], "none.yaml: cannot be read: No such file", id="missing"),
        pytest.param(lambda d: [d], "cannot be read", id="a folder"),
        pytest.param(lambda d: [write(d, "a.yaml", policy_text(RULE))] * 2, "a.yaml: listed twice", id="twice"),
        pytest.param(lambda d: [write(d, "a.yaml", "# nothing\n")], "a.yaml: holds no document", id="comments only"),
        pytest.param(
            lambda d: [write(d, "t.yaml", "apiVersion: holdpoint/v1\nkind: PolicyTest\n")],
            "tests are no part of a bundle",
            id="a test",
        ),
        pytest.param(
            lambda d: [write(d, "a.yaml", policy_text(RULE)), write(d, "b.yaml", policy_text(RULE))],
            "b.yaml:1:1: duplicate policy `p`; the first is at a.yaml:3",
            id="two of a name",
        ),
    ],
)
def test_bad_bundle_is_refused(tmp_path, prepare, message):
    with pytest.raises(ConfigError) as caught:
        load_bundle(prepare(tmp_path), targets=TARGETS)
    assert message in str(caught.value)


@pytest.mark.failure("F-bundle-start")
def test_half_copied_file_is_refused(tmp_path):
    text = policy_text(RULE, "name: s, effect: deny, match: {verbs: [response]}")
    file = tmp_path / "a.yaml"
    for end in (len(text) - 3, len(text) // 2, 30):
        file.write_text(text[:end])
        with pytest.raises(ConfigError):
            load_bundle([file], targets=TARGETS)


def test_check_lists_every_problem_of_every_file(tmp_path):
    bad = write(tmp_path, "a.yaml", policy_text(RULE.replace("ping", "pin"), "name: x", RULE.replace("allow", "no")))
    worse = write(tmp_path, "b.yaml", "kind: [")
    found = check([bad, worse, tmp_path / "c.yaml"], TARGETS)
    assert [line.removeprefix(f"{tmp_path}/").split(": ")[0] for line in found] == [
        "c.yaml",
        "b.yaml:1:8",
        "a.yaml:6:46",
        "a.yaml:7:5",
        "a.yaml:8:23",
    ]


def test_load_names_the_first_problem_and_counts_the_others(tmp_path):
    bad = write(tmp_path, "a.yaml", policy_text("name: x", "name: y"))
    with pytest.raises(ConfigError, match=r"a\.yaml:6:5: key `effect` is missing \(and 1 more\)"):
        load_bundle([bad], targets=TARGETS)


def test_check_of_a_good_bundle_says_nothing(tmp_path):
    assert check([write(tmp_path, "a.yaml", policy_text(RULE))], TARGETS) == []
