# SPDX-License-Identifier: Apache-2.0
"""The samples of notifications, as ``doc/notification_samples`` has them.

They come with an installed program, too.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

from nova import exception

# In the source tree, and below the prefix of an installation (setup.cfg).
_PLACES = ('doc/notification_samples', 'share/nova/notification_samples')


def folder() -> pathlib.Path:
    """Return the folder of the samples.

    :raises SamplesNotFound: there is none
    """
    for parent in pathlib.Path(__file__).parents:
        for place in _PLACES:
            if (parent / place).is_dir():
                return parent / place
    raise exception.SamplesNotFound(place=_PLACES[-1])


def read(name: str) -> dict[str, Any]:
    """Return a sample whole.

    :param name: of its file
    :raises SamplesNotFound: the folder is not there
    """
    place = folder()
    return resolve_refs(json.loads((place / name).read_text()), place)


def resolve_refs(obj: Any, base_path: str | pathlib.Path) -> Any:
    """Return the object with every reference replaced by its file's content.

    :param obj: from JSON; a reference is ``{"$ref": "path#", …overrides}``
    :param base_path: folder that the references are relative to
    :raises NotImplementedError: a reference names a part of a file
    """
    if isinstance(obj, list):
        return [resolve_refs(item, base_path) for item in obj]
    if not isinstance(obj, dict):
        return obj
    overrides = {key: resolve_refs(value, base_path)
                 for key, value in obj.items() if key != '$ref'}
    if '$ref' not in obj:
        return overrides
    path, _, fragment = obj['$ref'].partition('#')
    if fragment:
        raise NotImplementedError(
            f'$ref is {obj["$ref"]!r}: a part of a file can\'t be named, '
            'it should end with #')
    file = pathlib.Path(base_path, path)
    content = resolve_refs(json.loads(file.read_text()), file.parent)
    return _merge(content, overrides)


def _merge(base: Any, overrides: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(overrides, dict):
        return overrides
    merged = {key: (_merge(value, overrides[key]) if key in overrides
                    else value) for key, value in base.items()}
    merged.update((key, value) for key, value in overrides.items()
                  if key not in base)
    return merged
