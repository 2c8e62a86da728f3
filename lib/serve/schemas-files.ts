/** What requests and answers about files hold. */
import * as z from "zod";
import { clash, pathFault } from "./files/paths.ts";
import { ID, SECRET_ID } from "./ids.ts";
import { text } from "./schemas.ts";

const MOST_FILES = 256, MOST_PATTERNS = 64, MOST_TEXT = 2 ** 20;

const path = z.string().min(1).max(1024).superRefine((value, context) => {
  const fault = pathFault(value);
  if (fault !== undefined) context.addIssue({ code: "custom", message: fault });
}).meta({
  // For the document; most of what `pathFault` checks.
  pattern: String.raw`^(?!\.{1,2}(/|$))[^/\u0000]{1,255}(/(?!\.{1,2}(/|$))[^/\u0000]{1,255}){0,31}$`,
});

const FileIn = z.strictObject({
  path: path.meta({ description: "Relative to the working directory" }),
  text: z.string().max(MOST_TEXT).refine((value) => value.isWellFormed(), "holds a lone surrogate")
    .optional(),
  base64: z.base64().max(Math.ceil(MOST_TEXT / 3) * 4).optional(),
  file: z.string().regex(SECRET_ID).optional().meta({ description: "Id of a stored file" }),
  mode: z.string().regex(/^0?[0-7]{3}$/, "is not three octal digits").default("644"),
}).superRefine(({ text, base64, file }, context) => {
  if ([text, base64, file].filter((given) => given !== undefined).length === 1) return;
  context.addIssue({ code: "custom", message: "Wanted one of text, base64 and file" });
}).meta({
  id: "FileIn",
  // For the document.
  oneOf: ["text", "base64", "file"].map((name) => ({ required: [name] })),
});

export const filesIn = z.array(FileIn).max(MOST_FILES).superRefine((files, context) => {
  const twice = clash(files.map(({ path }) => path));
  if (twice === undefined) return;
  context.addIssue({ code: "custom", message: `${JSON.stringify(twice)} is there twice` });
}).meta({ description: "Put into a fresh working directory, /work, before the command begins" });

export const resultsWanted = z.array(path).max(MOST_PATTERNS).meta({
  description: "Files of the working directory to keep after the end; * and ? stand for parts of one name",
});

export const ResultFile = z.object({
  path: z.string(),
  size: z.int().nullable(),
  file: z.string().nullable().meta({ description: "Id of the stored file; null when it is not kept" }),
  problem: z.string().nullable().meta({ description: "Why it is not" }),
}).meta({ id: "ResultFile" });

export const StoredFile = z.object({
  id: z.string().regex(SECRET_ID),
  name: z.string(),
  size: z.int(),
  created: z.iso.datetime(),
  expires: z.iso.datetime(),
  execution: z.string().regex(ID).nullable().meta({ description: "Whose result it is" }),
}).meta({ id: "StoredFile" });

export const FileList = z.object({ files: z.array(StoredFile) }).meta({ id: "FileList" });

export const UploadQuery = z.strictObject({
  name: text(255).regex(/^(?!\.{0,2}$)[^/]*$/, "is no name of a file").default("file"),
});
