/** Where better-auth's own client would be: it signs in, and goes where the bridge has said. */
const script = `
document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault()
  const { email, password } = Object.fromEntries(new FormData(event.target))
  const response = await fetch("/api/auth/sign-in/email", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password }),
  })
  if (!response.ok) return (document.querySelector("output").textContent = "Wrong e-mail or password.")
  // Only to a path of this origin: whoever wrote the link to this page also wrote this parameter.
  const to = new URL(new URLSearchParams(location.search).get("redirectUrl") ?? "/", location.origin)
  location.assign(to.origin === location.origin ? to : "/")
})`

/** The login: an e-mail address, a password and a button. */
export const loginPage = (): Response =>
  new Response(
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<form><label>E-mail <input name="email" type="email" required></label>
<label>Password <input name="password" type="password" required></label><button>Sign in</button> <output></output></form>
<script>${script}</script>`,
    { headers: { "content-type": "text/html; charset=utf-8", "referrer-policy": "no-referrer" } },
  )
