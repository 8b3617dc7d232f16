// workerd runs this module, bundled.
import { check, count, vectors } from "./vectors-check.ts"

export default {
  fetch: (): Response => Response.json({ runtime: navigator.userAgent, vectors: count(vectors), failures: check() }),
}
