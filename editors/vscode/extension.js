// Starts `manage.py runbook_lsp` for the YAML files of a workspace; the server decides which of them are runbooks.
const vscode = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");

let client;

async function activate(context) {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  const [command, ...args] = vscode.workspace.getConfiguration("runbook").get("command");
  client = new LanguageClient(
    "runbook",
    "Django runbooks",
    { command, args, transport: TransportKind.stdio, options: { cwd: folder } },
    {
      documentSelector: [{ language: "yaml" }],
      synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher("**/*.{yml,yaml}") },
    },
  );
  context.subscriptions.push(vscode.commands.registerCommand("runbook.restart", () => client.restart()));
  await client.start();
}

function deactivate() {
  return client?.stop();
}

module.exports = { activate, deactivate };
