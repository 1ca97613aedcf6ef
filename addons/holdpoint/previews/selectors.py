"""Label selectors of objects: as a query's text, and as what they say of some labels.

Source: apimachinery, pkg/apis/meta/v1/helpers.go, `LabelSelectorAsSelector`.
"""

from collections.abc import Mapping

from holdpoint.domain.values import JsonMapping, JsonObject, JsonValue, as_object, as_text


def as_query(selector: JsonValue) -> str:
    """Return a `LabelSelector` as the text of `labelSelector`. Empty where it selects everything or is none."""
    said = as_object(selector)
    terms = [f"{key}={as_text(value)}" for key, value in as_object(said.get("matchLabels")).items()]
    for one in _expressions(said):
        key, values = as_text(one.get("key")), ",".join(_values(one))
        match as_text(one.get("operator")):
            case "In":
                terms.append(f"{key} in ({values})")
            case "NotIn":
                terms.append(f"{key} notin ({values})")
            case "Exists":
                terms.append(key)
            case "DoesNotExist":
                terms.append(f"!{key}")
            case _:
                return ""
    return ",".join(terms)


def selects(selector: JsonValue, labels: JsonMapping) -> bool:
    """Tell whether a `LabelSelector` takes these labels. An empty one takes all, none at all takes nothing."""
    if not isinstance(selector, dict):
        return False
    if not has_all(as_object(selector.get("matchLabels")), labels):
        return False
    return all(_holds(one, labels) for one in _expressions(selector))


def has_all(wanted: Mapping[str, JsonValue], labels: JsonMapping) -> bool:
    """Tell whether labels have every one of these values."""
    return all(labels.get(key) == value for key, value in wanted.items())


def _holds(one: JsonObject, labels: JsonMapping) -> bool:
    key, values = as_text(one.get("key")), _values(one)
    match as_text(one.get("operator")):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


def _expressions(selector: JsonMapping) -> list[JsonObject]:
    found = selector.get("matchExpressions")
    return [as_object(one) for one in found] if isinstance(found, list) else []


def _values(one: JsonObject) -> list[str]:
    found = one.get("values")
    return [as_text(value) for value in found] if isinstance(found, list) else []
