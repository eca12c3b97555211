"""A service that answers recordings and live sound over HTTP: `emobridge serve`.

    request -> Job -> engine (worker processes, which hold the models) -> Answer -> response

The process that takes requests holds no model and no torch; `records` has what passes between it and the engine.
"""
