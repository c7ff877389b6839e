using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>Structures of guest memory, enums, flags and constants.</summary>
internal static class DataEmitter
{
    public static void Struct(CodeWriter w, StructModel model)
    {
        w.Summary(Title(model.Doc, model.Name.Text, "structure in guest memory, little-endian"));
        w.Line("[StructLayout(LayoutKind.Explicit, Size = " + Number(model.Size) + ")]");
        w.Open("public struct " + model.Name.Text);
        bool first = true;
        foreach (MemberModel m in model.Members)
        {
            if (!first) w.Line();
            first = false;
            string type = Semantics.TypeName(m.Width);
            w.Summary(m.Doc);
            w.Line("[FieldOffset(" + Hex((ulong)m.Offset) + ")] public " + (m.Count > 0 ? m.Name.Text + "Array" : type) + " " + m.Name.Text + ";");
            if (m.Count == 0) continue;
            w.Line();
            w.Line("/// <summary>The elements of " + m.Name.Text + ", in place.</summary>");
            w.Line("[InlineArray(" + Number(m.Count) + ")]");
            w.Line("public struct " + m.Name.Text + "Array { private " + type + " _first; }");
        }
        w.Close();
    }

    public static void Enum(CodeWriter w, EnumModel model)
    {
        w.Summary(Title(model.Doc, model.Name.Text, model.Flags ? "bits" : "values"));
        if (model.Flags) w.Line("[Flags]");
        w.Open("public enum " + model.Name.Text + " : " + Semantics.TypeName(model.Width));
        if (model.Flags && model.Values.All(static v => v.Name.Text != "None")) w.Line("None = 0,");
        foreach (ValueModel v in model.Values)
        {
            w.Summary(v.Doc);
            w.Line(v.Name.Text + " = " + Literal(model.Flags ? 1ul << (int)(v.Value & 63) : v.Value, model.Width) + ",");
        }
        w.Close();
    }

    public static void Consts(CodeWriter w, ConstsModel model)
    {
        w.Summary(Title(model.Doc, model.Name.Text, "constants"));
        w.Open("public static class " + model.Name.Text);
        foreach (ValueModel v in model.Values)
        {
            w.Summary(v.Doc);
            string type = v.Value <= int.MaxValue ? "int" : v.Value <= uint.MaxValue ? "uint" : "ulong";
            w.Line("public const " + type + " " + v.Name.Text + " = " + v.Value.ToString(System.Globalization.CultureInfo.InvariantCulture) + ";");
        }
        w.Close();
    }

    public static void Device(CodeWriter w, DeviceModel model)
    {
        string name = model.Name.Text;
        w.Summary(Title(model.Doc, name, "virtio device"));
        if (model.Shares is { } shares) w.Line("/// <remarks>Its configuration space is <see cref=\"" + shares.Text + "\"/>.</remarks>");
        w.Open("public static class " + name);
        w.Line("/// <summary>Number of this kind of device.</summary>");
        w.Line("public const uint DeviceId = " + Hex(model.Id) + ";");
        for (int i = 0; i < model.Queues.Count; i++)
        {
            w.Line();
            w.Summary("Queue: " + model.Queues[i].Doc);
            w.Line("public const int " + model.Queues[i].Name.Text + "Queue = " + Number(i) + ";");
        }
        w.Line();
        w.Line("/// <summary>Largest size of each queue.</summary>");
        w.Line("public static ReadOnlySpan<ushort> QueueSizes => [" + string.Join(", ", model.Queues.Select(static q => Number(q.Size))) + "];");
        w.Close();
        if (model.Features.Count == 0) return;
        w.Line();
        Enum(w, new EnumModel(model.Name with { Text = name + "Features" }, "Features of " + name, true, 8, model.Features));
    }

    private static string Title(string doc, string name, string otherwise) => doc.Length == 0 ? name + ": " + otherwise : BlockEmitter.Headline(doc);
}
