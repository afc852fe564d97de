"""The page at /docs, from files that the gateway serves itself: it works without access to any other server.

All addresses on the page are paths, so that it works behind a proxy and never repeats the `Host` of the request.
"""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

_ASSETS = "/docs/assets"


def install(app: FastAPI) -> None:
    """Add `/docs`, its files, and a redirect from `/`. The app is made with `docs_url=None, redoc_url=None`."""
    assets = StaticFiles(directory=None, packages=[("fastapi_swagger", "resources")])
    app.mount(_ASSETS, assets, name="docs-assets")
    app.add_api_route("/docs", _page, include_in_schema=False)
    app.add_api_route("/", _to_docs, include_in_schema=False)


async def _page(request: Request) -> HTMLResponse:
    root = str(request.scope.get("root_path", "")).rstrip("/")
    return get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title=cast(FastAPI, request.app).title,
        swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{root}{_ASSETS}/favicon-32x32.png",
    )


async def _to_docs(request: Request) -> RedirectResponse:
    root = str(request.scope.get("root_path", "")).rstrip("/")
    return RedirectResponse(f"{root}/docs")
