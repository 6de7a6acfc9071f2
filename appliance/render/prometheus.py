"""Metrics as text: the Prometheus exposition format, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/ Why not prometheus_client: the counting happens where it
has always happened, and without its registries what is left of it is these few lines.
"""

from collections.abc import Iterable, Iterator, Mapping

from appliance.model.measures import CATALOGUE, Family, Sample

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text(families: Iterable[Family]) -> str:
    """The page of these metrics, which are all in the catalogue and each there once."""
    return "".join(line for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    metric = CATALOGUE[family.name]
    yield f"# HELP {family.name} {metric.help.replace(chr(92), chr(92) * 2)}\n"
    yield f"# TYPE {family.name} {metric.kind}\n"
    for sample in family.samples:
        yield f"{family.name}{sample.suffix}{_labels(sample.labels)} {_number(sample)}\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(sample: Sample) -> str:
    value = float(sample.value)
    return str(int(value)) if value.is_integer() else repr(value)
