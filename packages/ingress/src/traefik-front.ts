/**
 * Traefik, driven by files in its folder. For Node.
 *
 * @module
 */
export { RollOutFailed, dockerCommand, rollOut, traefikFront } from "./traefik-front/traefik-front.ts"
export type {
  CommandResult,
  DockerCommand,
  RollOutOptions,
  RolledOut,
  TraefikFrontOptions,
} from "./traefik-front/traefik-front.ts"
