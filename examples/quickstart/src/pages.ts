import type { GeneratedResponse } from "@project-ingress/forward"

const style = `:root{color-scheme:light dark;--line:light-dark(#ddd,#333);--soft:light-dark(#666,#999);--on:light-dark(#0a7d33,#5bd882)}
body{font:16px/1.55 system-ui,sans-serif;max-width:44rem;margin:8vh auto;padding:0 1.25rem}
h1{font-size:1.6rem;margin:0 0 .25rem}p{color:var(--soft)}code,output{font-family:ui-monospace,monospace}
section{border:1px solid var(--line);border-radius:.75rem;padding:1rem 1.25rem;margin:1rem 0}
section h2{font-size:1rem;margin:0 0 .5rem}output{display:block;overflow-wrap:anywhere}
button,input{font:inherit;padding:.35rem .8rem;border-radius:.5rem;border:1px solid var(--line);background:transparent;color:inherit}
button{cursor:pointer}button:disabled{cursor:default;opacity:.6}button[aria-pressed=true]{border-color:var(--on);opacity:1}
.on,button[aria-pressed=true]{color:var(--on)}a{color:inherit}`

const page = (title: string, body: string): string => `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title>
<link rel="icon" href="data:,"><style>${style}</style>${body}</html>
`

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/**
 * Keeps a page with the machine that its project is attached to. A stream stays with the machine that it began on; the app ends
 * it now and then, the browser asks again by the same name, and whichever machine answers says who it is. A response that is no
 * stream (no machine is attached, or it does not run) ends an EventSource for good: then a new one is opened every second.
 */
const follow = `
const machine = document.getElementById("machine").textContent
const state = document.getElementById("state")
let lost = false
const open = () => {
  const events = new EventSource("/events")
  events.addEventListener("machine", ({ data }) => { if (lost || data !== machine) location.reload() })
  events.onmessage = ({ data }) => { const sse = document.getElementById("sse"); if (sse) { sse.textContent = data; sse.className = "on" } }
  events.onerror = () => {
    if (events.readyState !== EventSource.CLOSED) return
    lost = true
    state.textContent = "No machine answers for this project now. This page reloads when one does."
    setTimeout(open, 1000)
  }
}
open()`

/** The page on port 4096. Elements that tests read: #machine, #state, #ws, #sse, #upload. */
export const appPage = (machine: string): string =>
  page(
    `Machine ${machine}`,
    `<h1>Machine <code id="machine">${escape(machine)}</code></h1>
<p>This page, its WebSocket and its event stream come from a port inside the machine, through two proxies. <strong id="state"></strong></p>
<section><h2>WebSocket echo</h2><input id="say" value="hello" aria-label="message"> <button id="send">Send</button>
<output id="ws">connecting</output></section>
<section><h2>Event stream</h2><output id="sse">0</output></section>
<section><h2>Upload</h2><button id="post">Send 10 MB</button><output id="upload"></output></section>
<script type="module">${follow}
const at = (id) => document.getElementById(id)
const socket = new WebSocket(location.origin.replace("http", "ws") + "/echo")
socket.onopen = () => { at("ws").textContent = "open"; at("ws").className = "on" }
socket.onmessage = (event) => { at("ws").textContent = "echo: " + event.data }
socket.onclose = () => { at("ws").textContent = "closed"; at("ws").className = "" }
at("send").onclick = () => socket.send(at("say").value)
at("post").onclick = async () => {
  const body = new Uint8Array(10_000_000)
  for (let i = 0; i < body.length; i++) body[i] = i * 31 + (i >> 8)
  at("upload").textContent = "sending"
  const response = await fetch("/upload", { method: "POST", body })
  const { bytes, sha256 } = await response.json()
  at("upload").textContent = bytes + " bytes, sha256 " + sha256
}
</script>`,
  )

/** The page on port 3000, the one a hostname without port leads to. */
export const plainPage = (machine: string): string =>
  page(
    `Port 3000 of ${machine}`,
    `<h1>Another port of <code id="machine">${escape(machine)}</code></h1>
<p>A hostname without a port leads here. <strong id="state"></strong></p><script type="module">${follow}</script>`,
  )

/** What visitors get in a browser while their project is detached: it looks every second whether it still is. */
export const detachedPage = (status: number, project = "this project"): GeneratedResponse => ({
  status,
  headers: ["Content-Type", "text/html; charset=utf-8", "Cache-Control", "no-store", "Refresh", "1"],
  body: page(
    `${project} is detached`,
    `<h1>No machine is attached to ${escape(project)}</h1>
<p>Attach one on the demo's own page, or by its key in the terminal. <strong id="state">This page reloads when one answers.</strong></p>`,
  ),
})

/** The control page at http://localhost:8787/. It follows the demo's state, so the text is constant. */
export const controlPage = (): string =>
  page(
    "project-ingress",
    `<h1>project-ingress</h1><p>Two projects, two machines. Attach a project to the other machine: its open pages follow.</p>
<div id="projects"></div><p id="engine"></p>
<script type="module">
const add = (parent, tag, text, properties = {}) => {
  const made = Object.assign(document.createElement(tag), { textContent: text }, properties)
  parent.append(made, " ")
  return made
}
const call = (path) => fetch(path, { method: "POST" })
const show = (state) => {
  document.getElementById("engine").textContent = state.why
  const projects = document.getElementById("projects")
  projects.replaceChildren()
  for (const { project, machine, links } of state.projects) {
    const section = add(projects, "section", "")
    add(section, "h2", project + (machine ? " → " + machine : " is detached"))
    for (const { url, shows } of links) {
      const line = add(section, "p", "")
      add(line, "a", url, { href: url, target: "_blank" })
      line.append(shows)
    }
    for (const each of state.machines) {
      const attached = each === machine
      add(section, "button", attached ? each + " is attached" : "attach " + each, {
        disabled: attached,
        ariaPressed: String(attached),
        onclick: () => call("/attach?project=" + project + "&machine=" + each),
      })
    }
    add(section, "button", "detach", { disabled: machine === null, onclick: () => call("/detach?project=" + project) })
  }
}
const listen = () => {
  const changes = new EventSource("/changes")
  changes.onmessage = ({ data }) => show(JSON.parse(data))
  // A demo that starts again answers 503 at first.
  changes.onerror = () => changes.readyState === EventSource.CLOSED && setTimeout(listen, 1000)
}
listen()
</script>`,
  )
