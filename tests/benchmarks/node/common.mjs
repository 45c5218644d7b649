// What both Node peers do before they proxy: key check, then three windows in one trip to Redis.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import Redis from "ioredis";

export const settings = {
  unix: process.env.PEER_UNIX,
  port: Number(process.env.PEER_PORT),
};

const hash = (key) => createHmac("sha256", "bench").update(key).digest("hex");
const known = new Map([[hash(process.env.PEER_KEY), "caller"]]);
const redis = new Redis({
  host: process.env.PEER_REDIS_HOST,
  port: Number(process.env.PEER_REDIS_PORT),
  enableAutoPipelining: true,
});
redis.defineCommand("admit", {
  numberOfKeys: 3,
  lua: readFileSync(process.env.PEER_SCRIPT, "utf8"),
});

/** The status to refuse with, or 0. */
export async function refusal(headers) {
  const caller = known.get(hash(headers["x-api-key"] ?? ""));
  if (!caller) return 401;
  const admitted = await redis.admit(
    `{${caller}}:minute`, `{${caller}}:hour`, `{${caller}}:day`,
    100000000, 60, 1000000000, 3600, 1000000000, 86400,
  );
  return admitted === 1 ? 0 : 429;
}

/** The path as the app knows it: without the first segment. */
export function inner(url) {
  const slash = url.indexOf("/", 1);
  return slash < 0 ? "/" : url.slice(slash);
}
