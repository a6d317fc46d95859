"""The JSON Schema and `millraced --check` agree on every sample of tests/data/config."""

import json
import re
import subprocess

import jsonschema
import pytest
import yaml

from basics import DAEMON, ROOT

SAMPLES = ROOT / "tests/data/config"
GOOD = sorted((SAMPLES / "good").glob("*.yaml"))
BAD = sorted((SAMPLES / "bad").glob("*.yaml"))
# What a schema can express; the rest spans several values, or is no YAML.
BAD_FOR_SCHEMA = [path for path in BAD if path.name.endswith(".schema.yaml")]


@pytest.fixture(scope="module")
def validator():
    schema = json.loads((ROOT / "config/millrace.schema.json").read_text())
    checker = jsonschema.validators.validator_for(schema)
    checker.check_schema(schema)
    return checker(schema)


def load(path):
    return yaml.safe_load(path.read_text())


def check(path):
    return subprocess.run([DAEMON, "--check", path], capture_output=True, text=True, timeout=20)


def name(path):
    return path.name


def test_there_are_samples():
    assert len(GOOD) >= 5 and len(BAD_FOR_SCHEMA) >= 10 and len(BAD) > len(BAD_FOR_SCHEMA)


@pytest.mark.parametrize("path", GOOD, ids=name)
def test_the_schema_accepts_a_good_file(validator, path):
    assert [error.message for error in validator.iter_errors(load(path))] == []


@pytest.mark.parametrize("path", BAD_FOR_SCHEMA, ids=name)
def test_the_schema_refuses_what_it_can_express(validator, path):
    assert not validator.is_valid(load(path))


@pytest.mark.parametrize("path", [path for path in BAD if path not in BAD_FOR_SCHEMA], ids=name)
def test_the_schema_does_not_claim_the_rest(validator, path):
    """Else the sample's name hides what the schema can do."""
    try:
        document = load(path)
    except yaml.YAMLError:
        return
    assert validator.is_valid(document)


@pytest.mark.parametrize("path", GOOD, ids=name)
def test_check_accepts_a_good_file(path):
    result = check(path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", BAD, ids=name)
def test_check_names_the_place_in_a_bad_file(path):
    expected = re.match(r"# expect (\d+:\d+) (.+)\n", path.read_text())
    result = check(path)
    assert result.returncode == 1, result
    assert any(line.startswith(f"{path}:{expected[1]}: ") and expected[2] in line
               for line in result.stderr.splitlines()), result.stderr
