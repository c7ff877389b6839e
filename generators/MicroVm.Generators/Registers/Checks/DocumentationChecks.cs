using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>MVG015: what a line declares is said at its end.</summary>
internal static class DocumentationChecks
{
    public static void Run(FileModel file, DiagnosticBag diagnostics)
    {
        foreach (RegisterModel r in file.Blocks.SelectMany(static b => b.Flatten())) Check(r.Name, r.Doc);
        foreach (MemberModel m in file.Structs.SelectMany(static s => s.Members)) Check(m.Name, m.Doc);
        foreach (ValueModel v in file.Enums.SelectMany(static e => e.Values)) Check(v.Name, v.Doc);
        foreach (ValueModel v in file.Consts.SelectMany(static c => c.Values)) Check(v.Name, v.Doc);
        foreach (DeviceModel d in file.Devices)
        {
            foreach (QueueModel q in d.Queues) Check(q.Name, q.Doc);
            foreach (ValueModel v in d.Features) Check(v.Name, v.Doc);
        }
        foreach (MachineModel m in file.Machines)
        {
            foreach (RangeModel r in m.Ranges) Check(r.Name, r.Doc);
            foreach (PlaceModel p in m.Places) Check(p.Name, p.Doc);
        }

        void Check(Name name, string doc)
        {
            if (doc.Length == 0) diagnostics.Add("MVG015", name.Pos, name.Text);
        }
    }
}
