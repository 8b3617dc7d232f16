/** Which form of a hostname a client refuses: docs/hostnames.md. Browsers and Node are the other tests of this folder. */
import { execFile } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { expect, it } from "vitest"
import { startChain } from "./chain.ts"

/** Asks each name over TLS, as urllib, requests and httpx do beneath, and prints the status or the error. */
const program = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
for name in sys.argv[3:]:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as plain, context.wrap_socket(plain, server_hostname=name) as tls:
            tls.sendall(f"GET / HTTP/1.1\\r\\nHost: {name}\\r\\nConnection: close\\r\\n\\r\\n".encode())
            print(tls.makefile().readline().split()[1])
    except ssl.SSLCertVerificationError as error:
        print(error.verify_message.split(",")[0])
`

const run = promisify(execFile)
const python = await run("python3", ["-c", "import ssl"]).then(
  () => undefined,
  () => "no python3 with ssl",
)

it("Python reaches a port and a machine by names with -- and a dot, and refuses an underscore under a wildcard", async (ctx) => {
  if (python !== undefined) ctx.skip(python)
  const app = createServer((_, response) => response.end("hello"))
  app.listen(0, "127.0.0.1")
  await once(app, "listening")
  const { port } = app.address() as AddressInfo
  const folder = await mkdtemp(join(tmpdir(), "project-ingress-names-"))
  try {
    await using chain = await startChain()
    const ca = join(folder, "ca.pem")
    await writeFile(ca, chain.certificate)
    for (const { domain, tlsPort } of chain.hosts) {
      const ask = async (...labels: readonly string[]): Promise<string[]> => {
        const names = labels.map((label) => `${label}.${domain}`)
        const { stdout } = await run("python3", ["-c", program, ca, String(tlsPort), ...names])
        return stdout.trim().split("\n")
      }
      expect(await ask(`${port}--misha`, `${port}.misha`)).toEqual(["200", "200"])
      // Nothing is known of that machine: the name got as far as the router.
      expect(await ask(`${port}--mach-7.machines`, "mach-7.machines")).toEqual(["404", "404"])
      expect(await ask(`${port}__misha`, "mach_7.machines", "mach_7")).toEqual(
        Array.from({ length: 3 }, () => "Hostname mismatch"),
      )
    }
  } finally {
    app.close()
    await rm(folder, { recursive: true })
  }
})
