"use strict";
/* The fields of the page: each shows one choice, and changes it. */
tractPage.views.controls = (() => {
  const { study } = tractPage.profiles;
  const { state, colours } = tractPage;
  const get = (id) => document.getElementById(id);

  function fill(select, choices) {
    const before = [...select.options].map((option) => `${option.value}|${option.text}`).join();
    if (before !== choices.map(([value, text]) => `${value}|${text}`).join()) {
      select.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
    }
  }

  fill(
    get("metric"),
    study.metrics.map(({ name, label, full }) => [name, label === full ? label : `${label} – ${full}`]),
  );
  fill(get("by"), [...tractPage.groups.usable().map(({ name }) => [name, name]), ["", "nothing: everyone"]]);
  fill(
    get("parts"),
    Array.from({ length: state.MOST_PARTS - 1 }, (_, place) => [String(place + 2), String(place + 2)]),
  );
  fill(
    get("band"),
    Object.entries(tractPage.statistics.BANDS).map(([name, { label }]) => [name, label]),
  );
  for (const id of ["from", "to"]) get(id).max = study.nodes - 1;

  const SELECTS = ["metric", "by", "band", "colour", "group", "minus"];
  for (const id of SELECTS)
    get(id).addEventListener("change", ({ target }) => state.set({ [id]: target.value }));
  for (const id of ["lines", "streamlines"])
    get(id).addEventListener("change", ({ target }) => state.set({ [id]: target.checked }));
  get("parts").addEventListener("change", ({ target }) => state.set({ parts: Number(target.value) }));
  get("view").addEventListener("change", ({ target }) => {
    const view = target.value;
    // One colour a tract says nothing where each tract is a row.
    state.set(
      view === "overview" && state.current.colour === "tract" ? { view, colour: "difference" } : { view },
    );
  });
  for (const id of ["from", "to"]) get(id).addEventListener("change", ({ target }) => setRange(id, target));
  get("all-nodes").addEventListener("click", () => state.set({ from: 0, to: study.nodes - 1 }));
  get("untick").addEventListener("click", () => state.set({ people: [] }));
  get("looks").addEventListener(
    "click",
    ({ target }) => target.value && tractPage.views.bundles.look(target.value),
  );
  get("chips").addEventListener("change", ({ target }) => {
    const { hidden } = state.current;
    state.set({
      hidden: target.checked ? hidden.filter((key) => key !== target.value) : [...hidden, target.value],
    });
  });

  /* A range that is turned round moves its other end along. */
  function setRange(id, field) {
    const asked = Math.round(Number(field.value));
    const value = Math.min(Math.max(Number.isFinite(asked) ? asked : 0, 0), study.nodes - 1);
    const { from, to } = state.current;
    const range =
      id === "from" ? { from: value, to: Math.max(value, to) } : { from: Math.min(value, from), to: value };
    state.set(range);
    field.value = value;
  }

  function draw(scene) {
    const now = scene.state;
    for (const id of ["metric", "by", "band", "parts", "from", "to", "colour"]) get(id).value = now[id];
    for (const id of ["lines", "streamlines"]) get(id).checked = now[id];
    for (const radio of get("view").querySelectorAll("input")) radio.checked = radio.value === now.view;
    get("parts-field").hidden = !tractPage.groups.find(now.by)?.cut;
    drawChips(scene);
    const choices = scene.groups.map(({ key, label }) => [key, label]);
    for (const id of ["group", "minus"]) {
      fill(get(id), choices);
      get(id).value = scene[id]?.key ?? "";
    }
    get("colour").querySelector("[value=tract]").disabled = now.view === "overview";
    get("colour").querySelector("[value=difference]").disabled = scene.groups.length < 2;
    get("group-field").hidden = now.colour === "tract" || scene.groups.length < 2;
    get("minus-field").hidden = now.colour !== "difference" || scene.groups.length < 2;
    for (const element of document.querySelectorAll(".only-3d"))
      element.hidden = now.view !== "bundles" || !tractPage.views.bundles.hasShapes;
    get("profile-title").textContent = now.tract;
    get("scale-title").textContent = tractPage.scene.scaleTitle(scene);
  }

  function drawChips({ groups }) {
    const chips = get("chips");
    const key = JSON.stringify(groups.map(({ key: name, label, colour }) => [name, label, colour]));
    if (chips.dataset.key !== key) chips.replaceChildren(...groups.map(chip));
    chips.dataset.key = key;
    groups.forEach(({ isShown }, place) => {
      chips.children[place].querySelector("input").checked = isShown;
    });
  }

  function chip(group) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "checkbox", value: group.key });
    label.className = "chip";
    label.append(input, swatch(group), `${group.label} (${group.people.length})`);
    return label;
  }

  /* How a group's line looks, small. */
  function swatch({ colour, dash }) {
    const element = document.createElement("span");
    element.className = "line-swatch";
    element.style.borderTopColor = colour;
    element.style.borderTopStyle = dash === "solid" ? "solid" : dash.includes("dot") ? "dotted" : "dashed";
    element.setAttribute("aria-hidden", "true");
    return element;
  }

  tractPage.swatch = swatch;
  colours.whenThemeChanges(() => tractPage.redraw());

  return {
    keys: [
      "tract",
      "metric",
      "from",
      "to",
      "by",
      "parts",
      "hidden",
      "band",
      "lines",
      "view",
      "colour",
      "group",
      "minus",
      "streamlines",
    ],
    draw,
    needsLibrary: false,
  };
})();
