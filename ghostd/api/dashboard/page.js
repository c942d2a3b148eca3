// Keeps the page fresh: at an event it fetches the parts anew, which the server has written.
"use strict";

const CALM = 250;         // ms: a burst of events becomes one refresh
const QUIET = 10000;      // ms: services change without an event of ours
const live = document.getElementById("live");
let seq = Number(document.body.dataset.seq);
let pause = 500;          // ms until the next try to connect, doubled each time
let timer = null;
let busy = false;

function say(state, words) {
  live.hidden = false;
  live.className = state;
  live.textContent = words;
}

// Only sections that differ are exchanged, so that a selection or a scrolled table elsewhere stays.
function exchange(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const section of fresh.querySelectorAll("section")) {
    const old = document.getElementById(section.id);
    if (old && old.innerHTML !== section.innerHTML) old.replaceChildren(...section.childNodes);
  }
}

async function refresh() {
  timer = null;
  if (busy) { later(CALM); return; }
  busy = true;
  try {
    const answer = await fetch("/parts.html", { cache: "no-store" });
    if (answer.ok) exchange(await answer.text());
  } catch {
    // The socket's state tells that nobody answers.
  } finally {
    busy = false;
  }
}

function later(delay) {
  if (timer === null) timer = setTimeout(refresh, delay);
}

function hear(message) {
  if (message.op === "event" && message.event.seq > seq) {
    seq = message.event.seq;
    later(CALM);
  } else if (message.op === "resync") {
    seq = message.seq;
    later(0);
  }
}

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.onopen = () => {
    pause = 500;
    say("on", "live");
    socket.send(JSON.stringify({ op: "subscribe", topics: [], since: seq }));
    later(0);
  };
  socket.onmessage = (received) => hear(JSON.parse(received.data));
  socket.onclose = () => {
    say("off", "connection lost, trying again");
    setTimeout(connect, pause * (0.75 + Math.random() / 2));
    pause = Math.min(pause * 2, 15000);
  };
}

connect();
setInterval(() => { if (!document.hidden) later(0); }, QUIET);
document.addEventListener("visibilitychange", () => { if (!document.hidden) later(0); });
