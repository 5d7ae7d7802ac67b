"use strict";
/* What happens when: the page is drawn from what is chosen, again in part when that changes. */
(() => {
  const { study } = tractPage.profiles;
  const { state, views } = tractPage;
  const root = document.documentElement;
  const status = document.getElementById("status");
  const trouble = document.getElementById("trouble");
  const SAID_FOR_MS = 5000;
  let turn = Promise.resolve();
  let pending = new Set();

  /* Say it to those who see and to those who listen; it fades after a while. */
  let fading = 0;
  tractPage.say = (words) => {
    status.textContent = words;
    status.classList.add("fresh");
    clearTimeout(fading);
    fading = setTimeout(() => status.classList.remove("fresh"), SAID_FOR_MS);
  };
  tractPage.fail = (error) => {
    trouble.hidden = false;
    trouble.textContent = error.message ?? String(error);
  };
  tractPage.currentScene = async () =>
    tractPage.scene.make(state.current, await tractPage.profiles.load(state.current.metric));

  /* Draw the views that depend on what changed, in turn; a view's own name draws it anyway. */
  function draw(changed) {
    pending = pending.union ? pending.union(changed) : new Set([...pending, ...changed]);
    root.dataset.state = "busy";
    turn = turn.then(drawPending).catch(tractPage.fail);
    return turn;
  }

  async function drawPending() {
    const changed = pending;
    pending = new Set();
    let outcome = "failed";
    try {
      if (changed.size) await drawAll(changed);
      outcome = "ready";
      trouble.hidden = true;
    } finally {
      if (!pending.size) root.dataset.state = outcome;
    }
  }

  async function drawAll(changed) {
    const scene = await tractPage.currentScene();
    const touched = Object.entries(views)
      .filter(
        ([name, view]) =>
          changed.has(name) || changed.has("everything") || view.keys.some((key) => changed.has(key)),
      )
      .map(([, view]) => view);
    // Lists and tables are there before the library for figures is.
    for (const view of touched.filter(({ needsLibrary }) => !needsLibrary)) view.draw(scene);
    await tractPage.load("lib/plotly.min.js");
    for (const view of touched.filter(({ needsLibrary }) => needsLibrary)) await view.draw(scene);
  }

  tractPage.redraw = (name = "everything") => draw(new Set([name]));

  function tellStrange(strange) {
    if (strange.length)
      tractPage.say(
        `The link names what these data do not have: ${strange.join("; ")}. The rest of it is shown.`,
      );
  }

  async function copyLink() {
    const address = location.href;
    try {
      await navigator.clipboard.writeText(address);
      tractPage.say("The link is copied: it shows what is chosen now.");
    } catch {
      // Without leave to use the clipboard, the link is there to be copied by hand.
      const field = document.getElementById("link");
      field.hidden = false;
      field.value = address;
      field.select();
      tractPage.say("Copy the link from the field.");
    }
  }

  function describe() {
    document.title = `${study.name} – tract profiles`;
    document.getElementById("title").textContent = study.name;
    document.getElementById("counts").textContent =
      `${study.people.length} people, ${study.tracts.length} tracts, ${study.nodes} nodes each`;
    document.getElementById("limit").textContent = study.outlier.limit;
    document.getElementById("outlier-source").textContent = study.outlier.source;
    document.getElementById("rights").textContent = [
      study.licence && `Licence: ${study.licence}.`,
      study.citation && `To cite: ${study.citation}`,
    ]
      .filter(Boolean)
      .join(" ");
  }

  // A link within the page would take the place of what is chosen.
  document.querySelector("[data-skip]").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("profile-panel").focus();
  });
  document.getElementById("copy").addEventListener("click", copyLink);
  document
    .getElementById("help-button")
    .addEventListener("click", () => document.getElementById("help").showModal());
  document
    .getElementById("help-close")
    .addEventListener("click", () => document.getElementById("help").close());
  addEventListener("error", (event) => tractPage.fail(event.error ?? event));
  addEventListener("unhandledrejection", (event) => tractPage.fail(event.reason));
  addEventListener("hashchange", () => {
    if (location.hash !== state.toHash()) tellStrange(state.fromHash(location.hash));
  });

  describe();
  tellStrange(state.fromHash(location.hash));
  state.listen((changed) => {
    draw(changed);
    if (changed.has("tract") || changed.has("from") || changed.has("to")) {
      tractPage.say(`${state.current.tract}, ${tractPage.scene.nodesInWords(state.current)}`);
    }
  });
  tractPage.redraw();
})();
