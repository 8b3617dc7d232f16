// Peers that are Debian packages: their configuration is written to the run's folder, and says what job.ts says.
import { execFileSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import type { Command, Place } from "../peer.ts"
import { targetHeader, ticketHeader } from "./job.ts"

const folder = (place: Place, name: string): string => {
  const path = `${place.directory}/${name}`
  mkdirSync(path, { recursive: true })
  return path
}

/** One worker, as every peer; the target chooses between two pools of kept connections. */
export const nginx = (place: Place): Command => {
  const home = folder(place, "nginx")
  const variable = targetHeader.replaceAll("-", "_")
  const configuration = `daemon off;
worker_processes 1;
error_log ${home}/error.log;
pid ${home}/pid;
events { worker_connections ${Math.max(place.openFiles, 32_768)}; }
http {
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path ${home}/body;
  proxy_temp_path ${home}/answers;
  client_body_buffer_size 1m;
  client_max_body_size 64m;
  map $http_${variable} $target { ~^${place.origin}__ http_origin; ~^${place.webSocketOrigin}__ websocket_origin; }
  map $http_${variable} $port { ~^(?<digits>[0-9]+)__ $digits; }
  map $http_upgrade $hop_connection { default upgrade; "" ""; }
  upstream http_origin { server 127.0.0.1:${place.origin}; keepalive 256; keepalive_requests 1000000; }
  upstream websocket_origin { server 127.0.0.1:${place.webSocketOrigin}; }
  server {
    listen 127.0.0.1:${place.port} backlog=4096;
    location / {
      proxy_pass http://$target;
      proxy_http_version 1.1;
      proxy_set_header Host localhost:$port;
      proxy_set_header Connection $hop_connection;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header ${targetHeader} "";
      proxy_set_header ${ticketHeader} "";
    }
  }
}
`
  writeFileSync(`${home}/nginx.conf`, configuration)
  return { file: "nginx", args: ["-e", `${home}/start.log`, "-c", `${home}/nginx.conf`] }
}

const isTarget = (port: number): string => `{ req.hdr(${targetHeader}) -m beg ${port}__ }`

export const haproxy = (place: Place): Command => {
  const home = folder(place, "haproxy")
  const configuration = `global
  nbthread 1
  maxconn ${Math.floor(place.openFiles / 2) - 100}
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 120s
  timeout server 120s
  timeout tunnel 120s
frontend machine
  bind 127.0.0.1:${place.port} backlog 4096
  use_backend websocket_origin if ${isTarget(place.webSocketOrigin)}
  use_backend http_origin if ${isTarget(place.origin)}
backend http_origin
  http-request set-header Host localhost:${place.origin}
  http-request del-header ${targetHeader}
  http-request del-header ${ticketHeader}
  server origin 127.0.0.1:${place.origin} pool-max-conn 512
backend websocket_origin
  http-request set-header Host localhost:${place.webSocketOrigin}
  http-request del-header ${targetHeader}
  http-request del-header ${ticketHeader}
  server origin 127.0.0.1:${place.webSocketOrigin}
`
  writeFileSync(`${home}/haproxy.cfg`, configuration)
  return { file: "haproxy", args: ["-db", "-f", `${home}/haproxy.cfg`] }
}

const route = (port: number): string => `  @to${port} header ${targetHeader} ${port}__*
  reverse_proxy @to${port} 127.0.0.1:${port} {
    header_up Host localhost:${port}
    header_up -${targetHeader}
    header_up -${ticketHeader}
    transport http {
      keepalive_idle_conns_per_host 512
      compression off
    }
  }
`

export const caddy = (place: Place): Command => {
  const home = folder(place, "caddy")
  const configuration = `{
  admin off
  auto_https off
}
http://127.0.0.1:${place.port} {
${route(place.origin)}${route(place.webSocketOrigin)}}
`
  writeFileSync(`${home}/Caddyfile`, configuration)
  const args = ["run", "--adapter", "caddyfile", "--config", `${home}/Caddyfile`]
  return { file: "caddy", args, env: { GOMAXPROCS: "1", HOME: home } }
}

const compiler = "go"

export const go = (place: Place): Command => {
  const home = folder(place, "go")
  const source = new URL("reverse-proxy.go", import.meta.url).pathname
  const env = { ...process.env, GO111MODULE: "off", GOFLAGS: "", GOCACHE: process.env["GOCACHE"] ?? `${home}/cache` }
  execFileSync(compiler, ["build", "-o", `${home}/reverse-proxy`, source], { env, timeout: 120_000, stdio: "pipe" })
  return { file: `${home}/reverse-proxy`, args: [], env: { GOMAXPROCS: "1", PORT: String(place.port) } }
}
