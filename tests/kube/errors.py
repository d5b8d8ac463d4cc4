# SPDX-License-Identifier: GPL-2.0-only
"""What an API server refuses: every refusal is a Status object."""


class Failure(Exception):
    def __init__(self, code, reason, message, details=None, headers=()):
        super().__init__(message)
        self.code, self.reason, self.message, self.details, self.headers = code, reason, message, details or {}, dict(headers)

    def status(self):
        return {"kind": "Status", "apiVersion": "v1", "metadata": self.details.pop("metadata", {}) if "metadata" in self.details else {},
                "status": "Failure", "message": self.message, "reason": self.reason, "details": self.details, "code": self.code}


def not_found(resource, name):
    return Failure(404, "NotFound", f'{resource.full} "{name}" not found', {"name": name, "group": resource.group, "kind": resource.plural})


def conflict(resource, name):
    return Failure(409, "Conflict", f'Operation cannot be fulfilled on {resource.full} "{name}": the object has been modified; '
                   "please apply your changes to the latest version and try again", {"name": name, "group": resource.group, "kind": resource.plural})


def invalid(kind, group, name, causes):
    """causes: (field, message)"""
    full = f"{kind}.{group}" if group else kind
    texts = [f"{field}: {message}" for field, message in causes]
    return Failure(422, "Invalid", f'{full} "{name}" is invalid: ' + (texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"),
                   {"name": name, "group": group, "kind": kind,
                    "causes": [{"reason": "FieldValueInvalid", "field": field, "message": message} for field, message in causes]})


def expired(message="The resourceVersion for the provided watch is too old.", token=None):
    details = {"metadata": {"continue": token}} if token else {}
    return Failure(410, "Expired", message, details)
