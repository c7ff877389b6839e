using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Checks;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Parse;

/// <summary>Reads one definition file: text in, equatable records out. After an error it goes on with the next line.</summary>
internal static class DefinitionParser
{
    private const string Declarations = "block, struct, flags, enum, consts, device or machine";

    /// <param name="path">Path as the compiler knows it, for diagnostics.</param>
    /// <param name="file">Path relative to the repository, for comments and <c>#line</c>.</param>
    /// <param name="text">The file's text.</param>
    /// <param name="cancel">Checked at every line.</param>
    public static ParsedFile Parse(string path, string file, string text, CancellationToken cancel)
    {
        var diagnostics = new DiagnosticBag(path);
        var found = new Found();
        foreach (SourceLine line in LineTree.Read(text, diagnostics, cancel))
        {
            cancel.ThrowIfCancellationRequested();
            Declaration(line, file, found, diagnostics);
        }
        FileModel model = found.ToModel(file);
        FileChecks.Run(model, diagnostics, cancel);
        return new ParsedFile(model, Summaries.Of(path, model), diagnostics.ToArray());
    }

    private static void Declaration(SourceLine line, string file, Found found, DiagnosticBag diagnostics)
    {
        var cursor = new Cursor(line, diagnostics);
        Token word = cursor.Next();
        switch (word.Kind == TokenKind.Word ? word.Text : "")
        {
            case "block": Add(found.Blocks, BlockParser.Parse(cursor, file, diagnostics)); break;
            case "struct": Add(found.Structs, DataParser.Struct(cursor, diagnostics)); break;
            case "flags": Add(found.Enums, DataParser.Enum(cursor, flags: true, diagnostics)); break;
            case "enum": Add(found.Enums, DataParser.Enum(cursor, flags: false, diagnostics)); break;
            case "consts": Add(found.Consts, DataParser.Consts(cursor, diagnostics)); break;
            case "device": Add(found.Devices, DataParser.Device(cursor, diagnostics)); break;
            case "machine": Add(found.Machines, MachineParser.Parse(cursor, diagnostics)); break;
            default: cursor.FailAt(word, Declarations); break;
        }
    }

    private static void Add<T>(List<T> list, T? item) where T : class
    {
        if (item is not null) list.Add(item);
    }

    private sealed class Found
    {
        public List<BlockModel> Blocks { get; } = [];
        public List<StructModel> Structs { get; } = [];
        public List<EnumModel> Enums { get; } = [];
        public List<ConstsModel> Consts { get; } = [];
        public List<DeviceModel> Devices { get; } = [];
        public List<MachineModel> Machines { get; } = [];

        public FileModel ToModel(string file) => new(
            file, Blocks.ToEquatable(), Structs.ToEquatable(), Enums.ToEquatable(), Consts.ToEquatable(), Devices.ToEquatable(), Machines.ToEquatable());
    }
}
