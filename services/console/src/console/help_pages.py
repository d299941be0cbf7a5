"""Help pages, linked from where a person needs them."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.rendering import render

router = APIRouter(prefix="/help")


@router.get("/connecting")
async def connecting(request: Request) -> Response:
    return render(request, "help/connecting.html")


@router.get("/disconnecting")
async def disconnecting(request: Request) -> Response:
    return render(request, "help/disconnecting.html")
