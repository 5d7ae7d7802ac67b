"use strict";
/* Colours that colour-blind people tell apart. Groups have those of Okabe and Ito (2008), with a line style and
   a marker each; tracts the muted ones of Paul Tol (2021), left and right alike; values run along cividis
   (Nuñez et al. 2018), differences from blue over grey to vermilion. */
tractPage.colours = (() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  // By lightness: what is legible on white is not on black.
  const ON_LIGHT = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C00"];
  const ON_DARK = ["#56B4E9", "#E69F00", "#00B98A", "#CC79A7", "#F0E442", "#D55E00", "#FFFFFF", "#A0A0A0"];
  const TRACTS = [
    "#332288",
    "#88CCEE",
    "#44AA99",
    "#117733",
    "#999933",
    "#DDCC77",
    "#CC6677",
    "#882255",
    "#AA4499",
  ];
  const TRACTS_ON_DARK = [
    "#8F83E8",
    "#88CCEE",
    "#44AA99",
    "#3FA862",
    "#B5B545",
    "#DDCC77",
    "#E07A8B",
    "#C2497F",
    "#C766B8",
  ];
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid", "dash"];
  const MARKERS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon"];
  const DIFFERENCE = [
    [0, "#0072B2"],
    [0.5, "#B8B8B8"],
    [1, "#D55E00"],
  ];

  const names = [...new Set(tractPage.received.study.tracts.map(nameOfPair))];

  /* A tract's name without its side. */
  function nameOfPair(tract) {
    return tract.replace(/^(left|right)\s+/i, "").replace(/[_\s-](l|r|left|right)$/i, "");
  }

  function ofTract(tract) {
    const shades = dark.matches ? TRACTS_ON_DARK : TRACTS;
    return shades[names.indexOf(nameOfPair(tract)) % shades.length];
  }

  /* How a group is drawn, by its place among the groups. */
  function ofGroup(place) {
    const colours = dark.matches ? ON_DARK : ON_LIGHT;
    return {
      colour: colours[place % colours.length],
      dash: DASHES[place % DASHES.length],
      marker: MARKERS[place % MARKERS.length],
    };
  }

  /* A colour of the style sheet, such as "ink". */
  function ofPage(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  /* A colour that lets others through. */
  function faint(colour, share) {
    const [red, green, blue] = [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
    return `rgba(${red},${green},${blue},${share})`;
  }

  function whenThemeChanges(listener) {
    dark.addEventListener("change", listener);
  }

  return { ofTract, ofGroup, ofPage, faint, whenThemeChanges, SEQUENCE: "Cividis", DIFFERENCE };
})();
