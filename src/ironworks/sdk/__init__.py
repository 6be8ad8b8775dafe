"""What API clients import: a typed client and the shapes it speaks. Depends on nothing else in the project.

from ironworks.sdk import Client

with Client.from_environment() as client:
    client.apply({"kind": "Tenant", "metadata": {"scope": "acme.shop", "name": "eu"}, "spec": {}})
    for event in client.watch("endpoints", scope="acme.shop.eu"):
        print(event.type, event.object["metadata"]["name"])
"""

from ironworks.sdk.client import Client, WatchEvent
from ironworks.sdk.config import Profile, load_profile, save_profile
from ironworks.sdk.errors import ApiError, Unreachable
from ironworks.sdk.feature import FeatureManifest, feature_schema
from ironworks.sdk.kinds import KindInfo, Kinds

__all__ = [
    "ApiError",
    "Client",
    "FeatureManifest",
    "KindInfo",
    "Kinds",
    "Profile",
    "Unreachable",
    "WatchEvent",
    "feature_schema",
    "load_profile",
    "save_profile",
]
