"""The documented shapes of what is sent are those of the model: no key is missing there, and none made up."""

from appliance.adapters.admin import documents
from appliance.model import options, workloads


def test_every_option_is_documented() -> None:
    """With the keys of its own mapping."""
    assert tuple(documents.Options.model_fields) == options.KEYS
    for shape, value in (
        (documents.RateLimit, options.RateLimit),
        (documents.Hsts, options.Hsts),
        (documents.HealthCheck, options.HealthCheck),
        (documents.BackendTls, options.BackendTls),
        (documents.Timeouts, options.Timeouts),
    ):
        assert tuple(shape.model_fields) == value.__match_args__


def test_every_key_of_a_workload_is_documented() -> None:
    """And every document that has them is taken as it is described."""
    common = {"type", "tls_passthrough", "backends", "options"}
    assert documents.NameProxyDocument.model_fields.keys() == common | {"name", "domain"}
    assert documents.FqdnProxyDocument.model_fields.keys() == common | {"fqdn"}
    given = {
        "type": "gateway-name-proxy",
        "name": "blog",
        "domain": "gw.example.com",
        "tls_passthrough": False,
        "backends": ["http://10.1.2.3:9000"],
        "options": {"compress": True, "health_check": {"path": "/", "interval": "10s"}, "sticky": True, "hsts": True},
    }
    documents.NameProxyDocument.model_validate(given)
    assert workloads.parse("blog", given).document().keys() == given.keys()
