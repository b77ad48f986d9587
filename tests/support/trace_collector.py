"""A real OTLP collector, as far as traces go: keeps every span that it is sent."""

import asyncio

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.stand_in_server import StandInServer, read_request


class TraceCollector(StandInServer):
    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []
        self.raw = b""

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        method, path, _headers, body = await read_request(reader)
        assert (method, path) == ("POST", "/v1/traces")
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        return True


def attributes(span: Span) -> dict[str, object]:
    values = {one.key: one.value for one in span.attributes}
    return {key: getattr(value, value.WhichOneof("value") or "string_value") for key, value in values.items()}
