import { LoginRequired } from "@project-ingress/router"
import type { Policy } from "@project-ingress/router"
import type { SignIn } from "@project-ingress/router/access"

/** Every port that is not public is for whoever is signed in. A platform also asks who may open which project. */
export const privatePorts = ({ location }: SignIn): Policy => ({
  name: "private ports",
  enforces: ["visibility"],
  onRoute: (request, route) =>
    route.settings.visibility === "public" || request.visitor !== undefined
      ? undefined
      : { deny: new LoginRequired({ location: location(request, route) }) },
})
