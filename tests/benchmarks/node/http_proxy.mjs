// node-http-proxy on Node's own server, with connections that are kept.
import http from "node:http";
import httpProxy from "http-proxy";
import { inner, refusal, settings } from "./common.mjs";

const proxy = httpProxy.createProxyServer({
  target: { socketPath: settings.unix, host: "sandbox" },
  agent: new http.Agent({ keepAlive: true, maxSockets: 128 }),
});
proxy.on("error", (_error, _request, response) => response.writeHead(502).end());

const server = http.createServer(async (request, response) => {
  const status = await refusal(request.headers);
  if (status) return response.writeHead(status).end();
  delete request.headers["x-api-key"];
  request.url = inner(request.url);
  proxy.web(request, response);
});
server.listen(settings.port, "127.0.0.1", 4096);
