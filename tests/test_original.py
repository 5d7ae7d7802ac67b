"""The names of cloudknot 0.6 are read as today's; and what a Knot passes on to AWS, wherever it runs."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudknot import Image, InputError, Knot, Retry
from cloudknot.config import Settings
from cloudknot.original import OriginalNames, read_knot_options, read_map_options
from cloudknot.places import check_place, fit_arch, fit_image, settings_on
from cloudknot.specs import Resources

ARN = "arn:aws:ssm:us-east-1:123456789012:parameter/lab/key"
MakeKnot = Callable[..., Knot[Any]]


def test_a_call_of_cloudknot_0_6_is_understood(make_knot: MakeKnot) -> None:
    with pytest.warns(FutureWarning) as caught:
        knot = make_knot(
            abs,
            job_def_vcpus=2,
            memory=4000,
            n_gpus=1,
            volume_size=50,
            retries=3,
            bid_percentage=60,
            instance_types=["m5.large", "r5.large"],
            username="scientist",
            job_queue_name="mine",
        )
    assert knot.resources == Resources(
        vcpus=2,
        memory_mib=4000,
        gpus=1,
        volume_gib=50,
        spot=True,
        bid_percentage=60,
        instance_types=("m5.large", "r5.large"),
    )
    assert knot.retry == Retry(raised=2)
    assert knot.image.user == "scientist"
    [warning] = caught
    assert warning.filename == __file__.replace("test_original", "conftest")  # where Knot is called
    said = str(warning.message)
    assert "memory is memory_mib today" in said
    assert "retries=2 today" in said
    assert "username is image=cloudknot.Image(user=...) today" in said
    assert "job_queue_name is passed over" in said


def test_retries_are_further_tries_unless_the_call_is_of_cloudknot_0_6(make_knot: MakeKnot) -> None:
    knot = make_knot(abs, retries=3, bid_percentage=60, instance_types="optimal")
    assert knot.retry == Retry(raised=3)
    assert read_knot_options({"memory": None, "n_gpus": 0, "no_image_cache": False}, {"retries": 3}) == {}
    with pytest.warns(FutureWarning, match="memory is memory_mib today$"):
        assert read_knot_options({"memory": 100}, {"retries": 0}) == {"memory_mib": 100}
    with pytest.warns(FutureWarning, match="memory_mib today$"):
        assert read_knot_options({"memory": 100}, {"retries": Retry(raised=1)}) == {"memory_mib": 100}
    with pytest.warns(FutureWarning, match="retries=1 is read as cloudknot 0.6's attempts.*retries=0 today"):
        assert read_knot_options({"memory": 100}, {"retries": 1})["retries"] == 0


def test_the_same_thing_twice_is_refused(make_knot: MakeKnot) -> None:
    with pytest.raises(InputError, match="memory and memory_mib say the same thing twice: give memory_mib"):
        make_knot(abs, memory=1, memory_mib=2)
    with pytest.raises(InputError, match="job_def_vcpus and vcpus say the same"):
        make_knot(abs, job_def_vcpus=1, vcpus=2)


@pytest.mark.parametrize("name", ["docker_image", "image_script_path", "pars_policies", "image_id"])
def test_what_the_function_would_miss_is_refused_with_the_cure(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is cloudknot 0.6's, and there is none today: .{{20}}"):
        read_knot_options({name: "something"}, {})


def test_an_unknown_option_is_refused_as_python_does(make_knot: MakeKnot) -> None:
    with pytest.raises(TypeError, match=r"Knot.__init__\(\) got an unexpected keyword argument 'memroy'"):
        make_knot(abs, memroy=1)
    with pytest.raises(TypeError, match=r"Knot.map\(\) got an unexpected keyword argument 'startmap'"):
        read_map_options({"startmap": True}, None)


def test_every_name_of_cloudknot_0_6_is_accounted_for() -> None:
    # Its signature, but for what a Knot takes under the same name today.
    for name in OriginalNames.__annotations__:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                read_knot_options({name: 1}, {})
            except InputError:
                continue
        assert name in str(caught[0].message)


def test_a_map_of_cloudknot_0_6_is_understood() -> None:
    env_vars = [{"name": "A", "value": "hush"}]
    with pytest.warns(FutureWarning, match="max_threads is passed over.*env_vars is a dict today") as caught:
        assert read_map_options({"max_threads": 8}, env_vars) == {"A": "hush"}
    assert "hush" not in str(caught[0].message)
    assert read_map_options({"job_type": None}, None) is None
    assert read_map_options({}, {"A": "1"}) == {"A": "1"}


def test_a_map_takes_the_words_of_cloudknot_0_6(make_knot: MakeKnot) -> None:
    with pytest.warns(FutureWarning, match="job_type is passed over") as caught:
        future = make_knot(abs).map([-1, 2], job_type="independent", max_threads=4)
    assert caught[0].filename == __file__
    assert [item.result() for item in future] == [1, 2]


def test_the_same_knot_is_made_in_all_places(make_knot: MakeKnot) -> None:
    knot = make_knot(
        abs,
        gpus=1,
        spot="prefer",
        arch="arm64",
        instance_types="g5g",
        volume_gib=100,
        retries=Retry(on_oom="double", max_memory_mib=4096),
        memory_mib=512,
    )
    assert knot.map([-1, 2]).result() == [1, 2]
    assert knot.resources.gpus == 1
    assert make_knot(abs, fargate=True, vcpus=0.5).resources.fargate


def test_a_stack_that_is_given_goes_before_what_is_set(tmp_path: Path) -> None:
    class Lab:
        name, region, profile = "lab", "eu-west-1", None

    settings = Settings(home=tmp_path, profile="me")
    assert settings_on(settings, None) == settings
    assert settings_on(settings, Lab()) == Settings(home=tmp_path, stack="lab", region="eu-west-1")
    with pytest.raises(InputError, match=r"pars must be a cloudknot\.Pars, not str 'lab'"):
        settings_on(settings, "lab")  # type: ignore[arg-type]


def test_doubling_beyond_the_most_is_refused_at_once(make_knot: MakeKnot) -> None:
    with pytest.raises(InputError, match="max_memory_mib=512 is no more than memory_mib=512"):
        make_knot(abs, memory_mib=512, retries=Retry(on_oom="double", max_memory_mib=512))


@pytest.mark.parametrize(
    ("backend", "environ", "message"),
    [
        ("local", {}, "only AWS fills in: set the environment variable KEY"),
        ("docker", {"KEY": "x"}, "containers on this machine have no secrets"),
    ],
)
def test_a_place_that_has_no_secrets_says_so(backend: str, environ: dict[str, str], message: str) -> None:
    wanted = Resources(secrets={"KEY": ARN})
    with pytest.raises(InputError, match=message):
        check_place(backend, wanted, {}, environ)
    check_place("aws", wanted, {}, {})
    check_place("local", wanted, {}, {"KEY": "x"})


def test_a_secret_is_read_from_the_persons_own_environment_here(tmp_path: Path, home: Path) -> None:
    code = (
        "import os, cloudknot as ck; "
        f"print(ck.Knot(lambda x: os.environ['KEY'], secrets={{'KEY': {ARN!r}}}).submit(1).result())"
    )
    environ = {"KEY": "a-b-c", "CLOUDKNOT_HOME": str(home), "CLOUDKNOT_CONFIG": str(tmp_path / "none")}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == "a-b-c"


def test_a_secret_and_a_variable_of_one_name_are_refused(make_knot: MakeKnot) -> None:
    with pytest.raises(InputError, match="KEY is in secrets and in env_vars"):
        make_knot(abs, secrets={"KEY": ARN}, env_vars={"KEY": "1"})


def test_a_size_that_aws_does_not_have_is_refused_there_alone() -> None:
    with pytest.raises(InputError, match="use vcpus=1, or fargate=True"):
        check_place("aws", Resources(vcpus=0.5), {})
    check_place("docker", Resources(vcpus=0.5), {})


def test_an_image_is_for_the_processors_that_were_asked_for() -> None:
    arm = Resources(arch="arm64")
    assert fit_image(Image(), "aws", arm).platform == "linux/arm64"
    assert fit_image(Image(), "docker", arm).platform is None
    assert fit_image(Image(), "aws", Resources()).platform is None


@pytest.mark.parametrize(
    ("resources", "image", "arch"),
    [
        (Resources(), Image(), None),
        (Resources(instance_types=("c7g.large",)), Image(), "arm64"),
        (Resources(), Image(platform="linux/arm64"), "arm64"),
        (Resources(arch="x86_64", instance_types=("c5",)), Image(platform="linux/amd64"), "x86_64"),
    ],
)
def test_what_is_said_of_the_processors_once_holds_for_all(
    resources: Resources, image: Image, arch: str | None
) -> None:
    assert fit_arch(resources, image, "aws").arch == arch


def test_processors_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InputError, match=r"arch says arm64, image\.platform says x86_64: leave all but one"):
        fit_arch(Resources(arch="arm64"), Image(platform="linux/amd64"), "aws")
