"""From a raw object to a typed resource, or to the findings that say what is wrong with it.

Objects that are right take the fast way: one conversion by msgspec, which also refuses unknown
fields. Only after it fails is the object gone through for everything that is wrong with it. Unknown
fields are ignored with a warning, as an API server prunes them; anything else refuses the object,
because half of a policy may mean the opposite of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any, NamedTuple

import msgspec

from pilotpy.model.resource import Finding, Meta, Owner, Ref, Resource, Severity
from pilotpy.schema import codes
from pilotpy.schema.kinds import IRRELEVANT, IRRELEVANT_GROUPS, RECOGNISED, SCHEMAS, Place, Schema, called
from pilotpy.schema.paths import remove
from pilotpy.schema.problem import Problem, Problems, bounded
from pilotpy.schema.problems import custom, problems, unknown_field, without_nulls


class Decoded(NamedTuple):
    """What became of one object."""

    resource: Resource[Any] | None  # None: refused, or of a kind that says nothing to a mesh
    findings: list[Finding]


class _OwnerReference(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    generate_name: str = ""
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: tuple[_OwnerReference, ...] | None = None


def decode_object(raw: Mapping[str, Any], *, namespace: str = "default") -> Decoded:
    """The object as it names itself, by its apiVersion and kind. Never raises."""
    kind, version = raw.get("kind"), raw.get("apiVersion")
    if isinstance(kind, str) and isinstance(version, str) and kind and version:
        return decode(kind, version, raw, namespace=namespace)
    missing = "apiVersion" if kind else "kind"
    nothing = Finding(
        code=codes.NOT_AN_OBJECT,
        severity=Severity.WARNING,
        message=f"Not an object of Kubernetes: {missing} is missing or not text",
        field=missing,
        hint="Take it away, or give it apiVersion, kind and metadata.name",
    )
    return Decoded(None, [nothing])


def decode(kind: str, api_version: str, raw: Mapping[str, Any], *, namespace: str = "default") -> Decoded:
    """The object as one of a kind in a version. Namespaced objects that name none are in `namespace`. Never raises."""
    group, _, version = api_version.rpartition("/")
    schema = SCHEMAS.get((group, kind))
    if schema is None or version not in schema.versions:
        return Decoded(None, _unknown(kind, api_version, raw, namespace))
    try:
        metadata = msgspec.convert(raw.get("metadata"), _Metadata)
        spec = msgspec.convert(_payload(schema, raw), schema.spec, dec_hook=custom)
    except (msgspec.ValidationError, RecursionError):
        return _slowly(schema, raw, namespace)
    extra = schema.place is Place.SPEC and not raw.keys() <= _OBJECT
    if extra or not _is_name(metadata.name) or not _is_name(metadata.namespace or namespace):
        return _slowly(schema, raw, namespace)
    return Decoded(_resource(schema, metadata, spec, namespace), [])


def _is_name(text: str) -> bool:
    """Whether it can be a name: an API server's paths, and the names of files here, are made of them."""
    return bool(text) and text not in {".", ".."} and "/" not in text and "%" not in text


_OBJECT = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


def _payload(schema: Schema, raw: Mapping[str, Any]) -> Any:
    """What becomes the spec."""
    if schema.place is Place.BESIDE:
        return {key: value for key, value in raw.items() if key not in {"apiVersion", "kind", "metadata"}}
    spec = raw.get("spec")
    if spec is None:
        spec = {}
    if schema.status and isinstance(spec, Mapping) and raw.get("status") is not None:
        return {**spec, "status": raw["status"]}
    return spec


def _resource(schema: Schema, metadata: _Metadata, spec: Any, namespace: str) -> Resource[Any]:
    where = (metadata.namespace or namespace) if schema.namespaced else ""
    meta = Meta(
        name=metadata.name,
        namespace=where,
        labels=metadata.labels or {},
        annotations=metadata.annotations or {},
        created=metadata.creation_timestamp,
        deleted=metadata.deletion_timestamp,
        owners=tuple(
            Owner(kind=owner.kind, name=owner.name, controller=bool(owner.controller))
            for owner in metadata.owner_references or ()
        ),
        generate_name=metadata.generate_name,
    )
    return Resource(Ref(schema.called, where, metadata.name), meta, spec)


def _slowly(schema: Schema, raw: Mapping[str, Any], namespace: str) -> Decoded:
    """The same once more, with everything that is wrong; the resource too, if that is only unknown fields."""
    ref = _best_ref(schema.called, raw, namespace if schema.namespaced else "")
    try:
        found = bounded(_all_problems(schema, raw))
        findings = [problem.finding(ref) for problem in found]
        if any(problem.severity is Severity.ERROR for problem in found):
            return Decoded(None, findings)
        copy = without_nulls(raw)
        for problem in found:
            remove(copy, problem.field)
        metadata = msgspec.convert(copy["metadata"], _Metadata)
        spec = msgspec.convert(_payload(schema, copy), schema.spec, dec_hook=custom)
    except msgspec.ValidationError as error:  # what problems() does not know about
        return Decoded(
            None, [Problem("", f"Not readable: {error}", "Write it as the API describes the kind").finding(ref)]
        )
    except RecursionError:
        return Decoded(None, [Problem("", "Too many levels deep", "Take out levels that no field has").finding(ref)])
    return Decoded(_resource(schema, metadata, spec, namespace), findings)


def _all_problems(schema: Schema, raw: Mapping[str, Any]) -> Problems:
    metadata = raw.get("metadata")
    yield from problems(metadata, _Metadata, "metadata")
    if isinstance(metadata, Mapping):
        yield from _name_problems(metadata)
    if schema.place is Place.SPEC:
        for name in raw:
            if name not in _OBJECT:
                yield unknown_field("", str(name))
    root = "spec" if schema.place is Place.SPEC else ""
    for problem in problems(_payload(schema, raw), schema.spec, root):
        in_status = schema.status and problem.field.startswith("spec.status")
        yield problem._replace(field=problem.field.removeprefix("spec.")) if in_status else problem


def _name_problems(metadata: Mapping[str, Any]) -> Problems:
    if metadata.get("name", "") == "":
        yield Problem("metadata.name", "Missing required field 'name'")
    for field in ("name", "namespace"):
        text = metadata.get(field)
        if isinstance(text, str) and text and not _is_name(text):
            hint = "Write letters, digits, '-' and '.', and begin and end with a letter or digit"
            yield Problem(f"metadata.{field}", f"{text[:100]!r} cannot be a name", hint)


def _unknown(kind: str, api_version: str, raw: Mapping[str, Any], namespace: str) -> list[Finding]:
    """What there is to say about an object that is not read."""
    group, _, version = api_version.rpartition("/")
    ref = _best_ref(called(group, kind), raw, namespace)

    def finding(code: str, severity: Severity, message: str, hint: str) -> list[Finding]:
        field = "apiVersion" if "apiVersion" in message else "kind"
        return [Finding(code=code, severity=severity, message=message, ref=ref, field=field, hint=hint)]

    if (schema := SCHEMAS.get((group, kind))) is not None:
        wanted = ", ".join(sorted(schema.versions))
        return finding(
            codes.UNKNOWN_KIND, Severity.ERROR, f"{kind} has no apiVersion {version!r}", f"Versions are {wanted}"
        )
    if kind in RECOGNISED.get(group, ()):
        message = f"{kind} of {group} is not served yet: it has no effect"
        return finding(codes.NOT_COMPILED, Severity.WARNING, message, "Leave it out; or keep it, if that will do")
    if group in IRRELEVANT_GROUPS or kind in IRRELEVANT.get(group, ()):
        return []
    groups = sorted(known or "core" for known, name in SCHEMAS if name == kind)
    if groups:
        message = f"{kind} is not in apiVersion {api_version!r}"
        return finding(codes.UNKNOWN_KIND, Severity.ERROR, message, f"It is in {' and '.join(groups)}")
    ours = group.endswith(".istio.io") or not group
    near = get_close_matches(kind, [name for _, name in SCHEMAS], n=1) if ours else []
    return finding(
        codes.UNKNOWN_KIND,
        Severity.ERROR if ours else Severity.INFO,
        f"Nothing is known of kind {kind} in {api_version}",
        f"Did you mean {near[0]}?" if near else "Leave it out, or mend kind and apiVersion",
    )


def _best_ref(kind: str, raw: Mapping[str, Any], namespace: str) -> Ref | None:
    """Who the object is, as far as it says; None if it has no name."""
    metadata = raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(name, str) or not isinstance(metadata, Mapping):
        return None
    own = metadata.get("namespace")
    return Ref(kind, own if isinstance(own, str) and own else namespace, name)
