import pytest

from forwarder.errors import TemplateError
from forwarder.normalise import Template, load_template


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        pytest.param("a=${1_7_0}${2_7_0}", "line 1, column 11: nothing stands between", id="adjacent"),
        pytest.param('{\n "a": "${1_7_0}${x}"}', "line 2, column 16: nothing stands", id="in a string"),
        pytest.param("${1_7_0}-${2_7_0}", "line 1, column 10: '-' between", id="a sign between numbers"),
        pytest.param("${1_7_0}.0${2_7_0}", "'.0' between", id="digits between numbers"),
        pytest.param("${meter.date_time}:${1_7_0}", "':' between", id="what a time holds itself"),
        pytest.param("${sys.id}A${1_7_0}", "'A' between", id="a digit of a MAC"),
        pytest.param("${timestamp}0${1_7_0}", "'0' between", id="a digit of a timestamp"),
        pytest.param("a=${1_7_0", "line 1, column 3: this ${ is not closed", id="never closed"),
        pytest.param("a\nb=${1_7\n_0}", "line 2, column 3: this ${ is not closed", id="closed too late"),
        pytest.param("a=${}", "line 1, column 3: this ${", id="no name"),
        pytest.param("P_In=1", "holds no variable", id="no variable"),
        pytest.param("", "holds no variable", id="an empty file"),
    ],
)  # fmt: skip
def test_templates_that_cannot_be_turned_round_are_refused(template: str, sentence: str) -> None:
    """The place is named, and why no payload of it could be read for sure."""
    with pytest.raises(TemplateError) as refused:
        Template.parse(template)

    assert sentence in str(refused.value)


def test_findings_name_each_variable() -> None:
    """What `check` tells: the variable, its name in the event, its unit and its place."""
    findings = Template.parse('{"a": ${power.in},\n "b": ${vol[2].bus}, "c": ${x_y}}').findings

    assert [(f.name, f.event_name, f.line, f.column) for f in findings] == [
        ("power.in", "active_power_import_kw", 1, 7),
        ("vol[2].bus", "volumes[2].bus", 2, 7),
        ("x_y", "", 2, 27),
    ]
    assert [f.sentence for f in findings] == [
        "line 1, column 7: ${power.in} becomes active_power_import_kw, in kW",
        "line 2, column 7: ${vol[2].bus} becomes volumes[2].bus",
        "line 2, column 27: ${x_y} is unknown and carried in extra if it has a value",
    ]


@pytest.mark.parametrize(
    ("template", "remark"),
    [
        pytest.param('{"a":${1_7_1},"b":${1_7_0}}', "column 6: devices know no variable 1_7_1", id="unknown"),
        pytest.param("${power_in}", "did you mean ${power.in}?", id="nearly known"),
        pytest.param("${vol[x].bus} ${1_7_0}", "no variable vol[x].bus", id="no number"),
        pytest.param('{"a":${meter.id},"b":${1_7_0}}', "column 6: ${meter.id} is text", id="unquoted text"),
        pytest.param('{"a":${1_7_0} "b":1}', "looks like JSON but is none", id="a comma is missing"),
    ],
)  # fmt: skip
def test_remarks_tell_what_its_author_may_not_expect(template: str, remark: str) -> None:
    """These templates work, but `check` says what may be a mistake."""
    remarks = Template.parse(template).remarks

    assert len(remarks) == 1
    assert remark in remarks[0]


@pytest.mark.parametrize(
    ("template", "lacks"),
    [
        pytest.param("${1_7_0}", ["1_8_0", "2_8_0", "2_7_0", "timestamp", "meter.id", "sys.id"], id="one value"),
        pytest.param(
            "${power.in} ${power.out} ${energy.in} ${energy.out} ${meter.id} ${sys.id} ${timestamp}",
            [],
            id="all, some by alias",
        ),
        pytest.param(
            "${power.in} ${power.out} ${energy.in} ${energy.out} ${meter.id} ${sys.id} ${sys.date_time}",
            [],
            id="any time will do",
        ),
    ],
)  # fmt: skip
def test_lacks_name_what_a_receiver_usually_wants(template: str, lacks: list[str]) -> None:
    """A time above all: without it a message sent again is taken for a new reading."""
    lacking = Template.parse(template).lacks()

    assert [variable.variable for variable in lacking] == lacks
    assert all(variable.wanted for variable in lacking)


def test_a_template_file_may_begin_with_a_byte_order_mark(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Some editors write one."""
    file = tmp_path_factory.mktemp("template") / "t.txt"
    file.write_bytes(b'\xef\xbb\xbf{"a":${1_7_0}}\r\n')

    assert load_template(file).is_json


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "cannot read {file}: No such file or directory", id="missing"),
        pytest.param(b"\xff", "{file} is not UTF-8 text (line 1)", id="not UTF-8"),
        pytest.param(
            b"${1_7_0}${2_7_0}", "{file}: line 1, column 9: nothing stands", id="ambiguous"
        ),
    ],
)
def test_errors_of_a_template_file_name_the_file(
    content: bytes | None, sentence: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The file, the place in it, and what is wrong."""
    file = tmp_path_factory.mktemp("template") / "t.txt"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(TemplateError) as refused:
        load_template(file)

    assert str(refused.value).startswith(sentence.format(file=file))
