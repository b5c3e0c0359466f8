// Pixels: answers as arrays, photographs and colors as canvases.

// Pixels of a canvas, and of its longer side: of one on the screen, whose lines are fine
// also over a small photograph; and of one that is saved, as large as the photograph
// where that is a canvas that every browser has, also that of a telephone.
export const SCREEN = { most: 4e6, least: 1200 };
export const SAVED = { most: 16e6, least: 0 };
const OTHERS = 0xc0141210; // What lies over the others where one class is shown alone.

export const bytes = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

export async function inflate(deflated) {
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function newCanvas({ width, height }) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

function fit({ width, height }, { most, least }) {
  const larger = Math.max(1, least / Math.max(width, height));
  const factor = Math.min(larger, Math.sqrt(most / (width * height)));
  return {
    width: Math.max(1, Math.round(width * factor)),
    height: Math.max(1, Math.round(height * factor)),
  };
}

// The photograph on a canvas, of SCREEN or SAVED; without an answer, its size is that of
// the file.
export async function draw(file, answer, size) {
  const source = answer?.photograph ? new Blob([bytes(answer.photograph)]) : file;
  const bitmap = await createImageBitmap(source);
  const drawn = newCanvas(fit(answer ?? bitmap, size));
  drawn.getContext("2d").drawImage(bitmap, 0, 0, drawn.width, drawn.height);
  bitmap.close();
  return drawn;
}

// A canvas of the colors of the classes, with lines between them in a light tone.
//
// size: Width and height of the canvas. answer: Those of the ids. ids: Of all pixels, by
// rows. classes: With the colors. alone: Id of the class that is shown alone, or null.
export function colorize(size, { answer, ids }, classes, alone) {
  const { fill, edge } = tables(classes, alone);
  const image = new ImageData(size.width, size.height);
  const pixels = new Uint32Array(image.data.buffer);
  const step = Math.max(1, Math.round(Math.max(size.width, size.height) / 1000));
  const nearest = (i, now, then) => Math.min(then - 1, Math.floor(((i + 0.5) * then) / now));
  const columns = new Uint32Array(size.width + step).map((_, x) => nearest(x, size.width, answer.width));
  const row = (y) => answer.width * nearest(y, size.height, answer.height);
  for (let y = 0, at = 0; y < size.height; y++) {
    const here = row(y), below = row(y + step);
    for (let x = 0; x < size.width; x++, at++) {
      const id = ids[here + columns[x]];
      const isEdge = id !== ids[here + columns[x + step]] || id !== ids[below + columns[x]];
      pixels[at] = isEdge ? edge[id] : fill[id];
    }
  }
  const drawn = newCanvas(size);
  drawn.getContext("2d").putImageData(image, 0, 0);
  return drawn;
}

// By id: RGBA of pixels within, and of lines. A black class, a background, has none.
function tables(classes, alone) {
  const fill = new Uint32Array(256), edge = new Uint32Array(256);
  const pack = (red, green, blue) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const light = (value) => (value >> 1) + 127;
  for (const { id, shown } of classes) {
    const [red, green, blue] = [1, 3, 5].map((i) => parseInt(shown.slice(i, i + 2), 16));
    if (alone !== null && alone !== id) fill[id] = edge[id] = OTHERS;
    else if (red | green | blue) {
      fill[id] = pack(red, green, blue);
      edge[id] = pack(light(red), light(green), light(blue));
    }
  }
  return { fill, edge };
}

// Puts the photograph, and colors over it if there are any, on a canvas of its size.
export function compose(target, photograph, colors, opacity) {
  target.width = photograph.width;
  target.height = photograph.height;
  const context = target.getContext("2d");
  context.drawImage(photograph, 0, 0);
  context.globalAlpha = opacity;
  if (colors) context.drawImage(colors, 0, 0);
}
