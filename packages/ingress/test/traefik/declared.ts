import { decodeIngress } from "@project-ingress/ingress"
import type { DeclaredIngress, Ingress } from "@project-ingress/ingress"
import { exportTraefik } from "@project-ingress/ingress/traefik"
import type { TraefikOptions } from "@project-ingress/ingress/traefik"
import { parse } from "yaml"

/** An ingress as it would be stored. */
export const declared = async (document: Ingress, createdAt = 0): Promise<DeclaredIngress> => ({
  id: `id-${document.name}`,
  version: 1,
  createdAt,
  updatedAt: createdAt,
  ...(await decodeIngress(document)),
})

/** The exported files by path, and the problems. Machines are dialled at `10.0.0.9`. */
export const exported = async (documents: readonly Ingress[], options: TraefikOptions = {}) => {
  const ingresses = await Promise.all(documents.map((document, at) => declared(document, at)))
  const { files, problems } = exportTraefik({ ingresses, address: () => "10.0.0.9" }, options)
  const texts = Object.fromEntries(files.map(({ path, text }) => [path, text]))
  return { files, texts, problems, read: (path: string) => readYaml(texts[path] ?? "") }
}

/** A tree of YAML, for assertions. */
export const readYaml = (text: string, options?: { readonly intAsBigInt: boolean }): Tree =>
  parse(text, options) as Tree

export type Tree = { readonly [key: string]: Tree }

export const acme = { email: "ops@example.com", challenge: { dns: "cloudflare" } } as const
