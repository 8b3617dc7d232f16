import { base64url } from "@project-ingress/forward/internal"

/** The SHA-256 of a text as UTF-8, in base64url: 43 characters. */
export const sha256 = async (text: string): Promise<string> =>
  base64url.encode(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))))

/** 128 random bits in base64url: 22 characters. */
export const randomId = (): string => base64url.encode(crypto.getRandomValues(new Uint8Array(16)))
