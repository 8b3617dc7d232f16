// The app behind every peer: nginx, because it answers faster than any of them can ask.
import { mkdirSync, writeFileSync } from "node:fs"
import type { Command } from "../peer.ts"

/** `directives`: more of nginx's, for all responses. */
export const httpOrigin = (directory: string, port: number, openFiles: number, directives = ""): Command => {
  const home = `${directory}/origin`
  mkdirSync(`${home}/files`, { recursive: true })
  writeFileSync(`${home}/files/14`, "hello, ingress")
  writeFileSync(`${home}/files/64k`, Buffer.alloc(65_536, "a"))
  writeFileSync(`${home}/files/1m`, Buffer.alloc(1_048_576, "b"))
  const configuration = `daemon off;
worker_processes 1;
error_log ${home}/error.log;
pid ${home}/pid;
events { worker_connections ${Math.min(openFiles, 8_192)}; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 1000000;
  client_body_temp_path ${home}/body;
  client_body_buffer_size 1m;
  client_max_body_size 64m;
  ${directives}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { root ${home}/files; }
    location = /sink { return 200 ok; }
  }
}
`
  writeFileSync(`${home}/nginx.conf`, configuration)
  return { file: "nginx", args: ["-e", `${home}/start.log`, "-c", `${home}/nginx.conf`] }
}
