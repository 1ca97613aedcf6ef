"""Who is calling: from a bearer token to a Principal, and from a login to a Reviewer.

A token proves something only after every check here; whatever is missing, odd or unknown is refused. Inside the package
a token that fails raises `BadToken`; `verify.py` is the one edge at which that becomes a `Refusal`.
"""
