"""The file of backends is read strictly: what it may say is understood, all else is one clear sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import ROOT

from tollspan.limits.backends import Backend, Check
from tollspan.limits.backends_file import BackendFileError, read
from tollspan.limits.circuits import Policy
from tollspan.limits.watched import Where

ENTRY = '[[backends]]\nname = "a"\nurl = "https://a.example/v1"\n'


def saved(folder: Path, text: str) -> Path:
    file = folder / "backends.toml"
    file.write_text(text)
    return file


def test_a_name_and_an_address_are_enough(tmp_path: Path) -> None:
    (backend,) = read(saved(tmp_path, ENTRY)).backends

    assert backend == Backend("a", "https://a.example/v1")
    assert backend.where == Where("", "a.example", 0)
    assert backend.checks == (Check("http"),)
    assert [backend.checks[0].expects(code) for code in (200, 302, 401, 429, 404, 500)] == [
        *(True, True, True, True),
        *(False, False),
    ]


def test_everything_can_be_said(tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.touch()
    text = """
[circuits]
failures = 7
cool_down_s = 2

[[backends]]
name = "engine"
provider = "vllm"
url = "http://10.0.0.7:8000/"
checks = [{ kind = "http", path = "/health", method = "HEAD", expect = [200, "3xx"] }, "tcp", "ping"]
interval_s = 0.5
jitter = 0
timeout_s = 1.5
up_after = 1
down_after = 4
ca_file = "{own}"
circuit = { slow_s = 20, failures = 2 }
""".replace("{own}", str(own))
    found = read(saved(tmp_path, text))

    assert found.policy == Policy(failures=7, cool_down_s=2)
    assert found.backends == (
        Backend(
            "engine",
            "http://10.0.0.7:8000",
            provider="vllm",
            checks=(
                Check("http", "HEAD", "/health", ("200", "3xx")),
                Check("tcp"),
                Check("ping", decides=False),
            ),
            interval_s=0.5,
            jitter=0,
            timeout_s=1.5,
            up_after=1,
            down_after=4,
            ca_file=str(own),
            policy=Policy(failures=2, cool_down_s=2, slow_s=20),
        ),
    )
    assert found.backends[0].where == Where("vllm", "10.0.0.7", 8000)


def test_a_ping_decides_where_nothing_else_is_asked_or_the_file_says_so(tmp_path: Path) -> None:
    alone = read(saved(tmp_path, ENTRY + 'checks = ["ping"]')).backends[0]
    said = read(
        saved(tmp_path, ENTRY + 'checks = ["http", { kind = "ping", decides = true }]')
    ).backends[0]

    assert [each.decides for each in alone.checks] == [True]
    assert [each.decides for each in said.checks] == [True, True]


WRONG = [
    ("backends = 1", "has 'backends' at its top: write each backend as an entry that begins with"),
    ("[backend]\n", "has 'backend' at its top"),
    ("[[backends]]\n", "Entry 1 of the file of backends", "has no name: write name"),
    ('[[backends]]\nname = "a"', "has no url: write url"),
    ('[[backends]]\nname = "a"\nurl = "a.example"', "has a url that cannot be asked"),
    ('[[backends]]\nname = "a"\nurl = "https://me:pass@a.example"', "a url that cannot be asked"),
    (
        '[[backends]]\nname = "a"\nurl = "https://a.example?key=s3cret"',
        "a url that cannot be asked",
    ),
    ('[[backends]]\nname = "a"\nurl = "https://a:99999"', "has a url that is none"),
    ('[[backends]]\nname = "a"\nurl = "https://a/\\r\\nx: y"', "a url that cannot be asked"),
    (ENTRY + "intervall_s = 3", "has the unknown key 'intervall_s': write interval_s."),
    (ENTRY + "interval_s = 0", "has interval_s = 0: write a number from 0.1 to 86400"),
    (ENTRY + "interval_s = nan", "has interval_s = nan: write a number"),
    (ENTRY + 'timeout_s = "5"', "has timeout_s = '5': write a number from 0.1 to 86400"),
    (ENTRY + "timeout_s = true", "has timeout_s = True: write a number"),
    (ENTRY + "up_after = 0", "has up_after = 0: write a whole number from 1 to 1000"),
    (ENTRY + "down_after = 1.5", "has down_after = 1.5: write a whole number"),
    (ENTRY + "jitter = 1.5", "has jitter = 1.5: write a number from 0 to 0.5"),
    (ENTRY + "checks = []", "has checks = []: write checks"),
    (ENTRY + 'checks = ["icmp"]', "in check 1, has kind = 'icmp': write http, tcp or ping"),
    (
        ENTRY + 'checks = ["http", {kind = "tcp", path = "/"}]',
        "in check 2, has path for a check by",
    ),
    (ENTRY + 'checks = [{kind = "http", path = "x"}]', "has path = 'x': write path"),
    (ENTRY + 'checks = [{kind = "http", path = "/a b"}]', "has path = '/a b': write path"),
    (
        ENTRY + 'checks = [{kind = "http", method = "POST"}]',
        "has method = 'POST': write GET or HEAD",
    ),
    (
        ENTRY + 'checks = [{kind = "http", expect = [99]}]',
        "has the status 99: write a status as 200",
    ),
    (ENTRY + 'checks = [{kind = "http", expect = 200}]', "has expect = 200: write expect"),
    (ENTRY + 'checks = [{kind = "http", decides = 1}]', "has decides = 1: write true or false"),
    (ENTRY + "checks = [3]", "in check 1, has 3, which is no table"),
    (ENTRY + "circuit = { failure = 3 }", "under circuit, has the unknown key 'failure'"),
    (ENTRY + "circuit = { failures = 0 }", "under circuit, has failures = 0"),
    (ENTRY + 'ca_file = "none.pem"', "has ca_file = 'none.pem', which is no file"),
    ("[circuits]\nfailure_ratio = 2\n", "[circuits] of the file of backends"),
    ("circuits = 3", "has 3, which is no table: write failures = 5"),
    (ENTRY + ENTRY, "has the name 'a' a second time: write another name"),
    (ENTRY + ENTRY.replace('"a"', '"b"'), "has the same provider and address as 'a'"),
    ("name =", "is not TOML"),
    ("\xff", "is not TOML"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[1][:50])
def test_what_cannot_be_used_is_refused_in_a_sentence(
    tmp_path: Path, case: tuple[str, ...]
) -> None:
    text, *fragments = case
    file = tmp_path / "backends.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(BackendFileError) as refused:
        read(file)
    sentence = str(refused.value)

    for fragment in fragments:
        assert fragment in sentence
    assert str(file) in sentence
    assert "\n" not in sentence
    assert "pass" not in sentence
    assert "s3cret" not in sentence


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        BackendFileError, match=r"cannot be read \(No such file .*TOLLSPAN_BACKENDS"
    ):
        read(tmp_path / "none.toml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.sampled_from(sorted(Backend.__dataclass_fields__) + ["circuit"]), VALUES)
def test_no_value_of_any_key_is_anything_but_used_or_refused(key: str, value: object) -> None:
    from tollspan.limits.backends_file import _Part

    entry = {"name": "a", "url": "http://a.example", key: value}
    try:
        made = _Part("Entry 1", entry).backend(Policy())
    except BackendFileError as refused:
        assert str(refused).startswith("Entry 1")
    else:
        assert made.interval_s > 0
        assert made.where.address


def test_the_page_of_health_shows_files_that_can_be_used(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operate" / "health.md").read_text("utf-8")
    shown = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    example, every_key = [read(saved(tmp_path, text)) for text in shown]

    assert example.backends[0].name == "engine"
    assert every_key.policy == Policy()
    usual = Backend("openai", "https://api.openai.com/v1")
    for key in ("interval_s", "jitter", "timeout_s", "up_after", "down_after"):
        assert getattr(every_key.backends[0], key) == getattr(usual, key)
