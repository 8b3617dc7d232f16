/** Real servers on this computer, each with one fault that the doctor must name. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { RequestListener } from "node:http"
import { createServer as createTcpServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import type { SigningKey, VerificationKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { upstream } from "@project-ingress/providers/upstream"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import { selfSigned } from "../../../../test/apps/certificate.ts"
import type { CertificateFlaws } from "../../../../test/apps/certificate.ts"
import { readTarget } from "../../src/commands/doctor/doctor-target.ts"
import type { Finding } from "../../src/commands/doctor/finding.ts"
import { runDoctor } from "../../src/commands/doctor/run-doctor.ts"
import type { DoctorSettings } from "../../src/commands/doctor/run-doctor.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { createRouter } from "../../src/router.ts"
import type { Router, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

/** What a test started, ended after it. */
export class Servers implements AsyncDisposable {
  readonly #servers: Server[] = []
  readonly #ends: (() => Promise<void>)[] = []

  /** Listens on a free port of an address, and gives the port. */
  async listen(server: Server, host = "127.0.0.1"): Promise<number> {
    server.listen(0, host)
    await once(server, "listening")
    this.#servers.push(server)
    return (server.address() as AddressInfo).port
  }

  http(listener: RequestListener, host?: string): Promise<number> {
    return this.listen(createServer(listener), host)
  }

  /** Ends each connection at once. */
  async tls(
    names: readonly string[],
    flaws: CertificateFlaws = {},
  ): Promise<{ readonly port: number; readonly cert: string }> {
    const { key, cert } = await selfSigned(names, flaws)
    const respond = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    const server = createTlsServer({ key, cert }, (socket) => {
      socket.on("error", () => {})
      socket.once("data", () => socket.end(respond))
    })
    server.on("tlsClientError", () => {})
    return { port: await this.listen(server), cert }
  }

  /** A router with a real machine behind it. `verifying`: what the machine verifies tickets by. */
  async router(
    options: Partial<RouterOptions> & {
      readonly verifying?: (signing: SigningKey, verification: VerificationKey) => Promise<VerificationKey>
    } = {},
  ): Promise<{ readonly port: number; readonly store: ReturnType<typeof memoryStore>; readonly router: Router }> {
    const { verifying = (signing) => machineKey(signing, "mach_1"), ...rest } = options
    const { signing, verification } = await generateTicketKeys("doctor")
    const proxy = createMachineProxy({ machine: "mach_1", keys: [await verifying(signing, verification)] })
    const machinePort = await this.listen(createTcpServer(proxy.connection))
    const metadata = { port: machinePort }
    const store = memoryStore({
      "p:misha": { machine: { id: "mach_1", type: "local", externalId: "dev", metadata } },
      "p:detached": { kind: "detached" },
    })
    const router = createRouter({
      grammar: defineGrammar({ domains: ["ingress.test"] }),
      store,
      providers: [local(), upstream({ allowCidrs: ["127.0.0.0/8"] })],
      signingKey: signing,
      ...rest,
    })
    const { close, port } = await serveNode(router).listen({ port: 0, hostname: "127.0.0.1" })
    this.#ends.push(() => close({ deadlineMs: 0 }))
    return { port, store, router }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends) await end()
    for (const server of this.#servers) {
      if ("closeAllConnections" in server) (server as unknown as { closeAllConnections(): void }).closeAllConnections()
      server.close()
    }
  }
}

/** A port on which nothing listens. */
export const closedPort = async (host = "127.0.0.1"): Promise<number> => {
  const server = createTcpServer()
  server.listen(0, host)
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
}

/** What the doctor finds; every name is this computer. */
export const examine = async (url: string, settings: Partial<DoctorSettings> = {}): Promise<readonly Finding[]> => {
  const target = readTarget(url)
  if (typeof target === "string") throw new TypeError(target)
  return runDoctor(target, { timeoutMs: 5_000, resolve: async () => ["127.0.0.1"], ...settings })
}

/** The codes of what is not well. */
export const problemsOf = (findings: readonly Finding[]): readonly string[] =>
  findings.flatMap(({ level, code }) => (level === "ok" ? [] : [code]))
