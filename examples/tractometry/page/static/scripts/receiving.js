"use strict";
/* The page's namespace, and how scripts with data hand over what they hold. From a file, a page may load
   scripts and pictures, and nothing else. */
globalThis.tractPage = (() => {
  const received = {};
  const waiting = new Map();

  function receive(name, value) {
    received[name] = value;
  }

  /* Load a script once; the promise fails, in words, where it is not there. */
  function load(address) {
    if (!waiting.has(address)) {
      waiting.set(
        address,
        new Promise((resolve, reject) => {
          const script = document.createElement("script");
          script.src = address;
          script.onload = resolve;
          script.onerror = () =>
            reject(
              new Error(
                `${address} could not be loaded. Copy the whole folder of the page, not index.html alone.`,
              ),
            );
          document.head.append(script);
        }),
      );
    }
    return waiting.get(address);
  }

  /* Return the numbers of a text in base64; Kind is the type of array that was packed. */
  function unpack(text, Kind) {
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    for (let place = 0; place < letters.length; place += 1) bytes[place] = letters.charCodeAt(place);
    return new Kind(bytes.buffer);
  }

  return { receive, received, load, unpack, views: {} };
})();
