#!/usr/bin/env node
// count-words.js FOLDER: the same, for Node.
const fs = require("node:fs");

const body = fs.readFileSync(0, "utf8");
const words = body.split(/\s+/).filter(Boolean).length;
fs.appendFileSync(`${process.argv[2]}/counts`, `js ${words}\n`);
