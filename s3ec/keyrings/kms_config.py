"""What the configuration of an S3 client says about reaching any service, and hence KMS."""

from __future__ import annotations

from typing import Any

__all__ = ["shared_config"]

# Not what belongs to S3 alone: ``s3``, checksums, the signature version; nor an endpoint.
_SHARED = (
    "client_cert",
    "connect_timeout",
    "defaults_mode",
    "ignore_configured_endpoint_urls",
    "max_pool_connections",
    "proxies",
    "proxies_config",
    "read_timeout",
    "region_name",
    "retries",
    "tcp_keepalive",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
    "user_agent",
    "user_agent_appid",
    "user_agent_extra",
)


def shared_config(config: Any) -> dict[str, Any]:
    """Return arguments for a `botocore.config.Config` of another service.

    Args:
        config: a `Config`, or None.

    Returns:
        FIPS and dual-stack, proxies, timeouts, retries, pool and user agent, as far as they differ from the defaults.
    """
    if config is None:
        return {}
    # Not every botocore knows every name.
    defaults = {name: config.OPTION_DEFAULTS[name] for name in _SHARED if name in config.OPTION_DEFAULTS}
    found = {name: getattr(config, name) for name in defaults}
    return {name: value for name, value in found.items() if value not in (None, defaults[name])}
