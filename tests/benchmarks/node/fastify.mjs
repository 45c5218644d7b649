// Fastify with @fastify/reply-from over undici, its fastest way to a Unix socket.
import Fastify from "fastify";
import replyFrom from "@fastify/reply-from";
import { inner, refusal, settings } from "./common.mjs";

const app = Fastify({ logger: false });
app.removeAllContentTypeParsers();
app.addContentTypeParser("*", (request, payload, done) => done(null, payload));
app.register(replyFrom, {
  base: `unix+http://${encodeURIComponent(settings.unix)}`,
  undici: { connections: 128, pipelining: 1 },
});
app.all("/*", async (request, reply) => {
  const status = await refusal(request.headers);
  if (status) return reply.code(status).send();
  return reply.from(inner(request.raw.url), {
    rewriteRequestHeaders: (_request, { "x-api-key": _key, ...headers }) => headers,
  });
});
await app.listen({ host: "127.0.0.1", port: settings.port, backlog: 4096 });
