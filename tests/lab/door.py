"""An authorization server over HTTP, as a program: 200 with a valid ticket, 403 without."""

import asyncio


async def answer(reader, writer):
    while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
        let_in = "\r\nx-ticket: valid\r\n" in head
        status = "200 OK\r\nx-let-in-by: the door" if let_in else "403 Forbidden"
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()


async def serve():
    await (await asyncio.start_server(answer, "", 8080)).serve_forever()


asyncio.run(serve())
