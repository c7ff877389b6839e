using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Model;

internal static class Summaries
{
    public static FileSummary Of(string path, FileModel file)
    {
        var declared = new List<DeclarationSummary>();
        foreach (BlockModel b in file.Blocks) declared.Add(new("block", b.Name, b.Size, b.Flatten().Any(static r => r.Resident), null));
        foreach (StructModel s in file.Structs) declared.Add(Plain("struct", s.Name));
        foreach (EnumModel e in file.Enums) declared.Add(Plain(e.Flags ? "flags" : "enum", e.Name));
        foreach (ConstsModel c in file.Consts) declared.Add(Plain("consts", c.Name));
        foreach (MachineModel m in file.Machines) declared.Add(Plain("machine", m.Name));
        foreach (DeviceModel d in file.Devices)
        {
            declared.Add(new("device", d.Name, 0, false, d.Shares));
            if (d.Features.Count > 0) declared.Add(Plain("features of a device", new Name(d.Name.Text + "Features", d.Name.Pos)));
        }
        IEnumerable<SnapshotSummary> snapshots = file.Blocks.Select(Tags.Summary).OfType<SnapshotSummary>();
        IEnumerable<DeviceNames> devices = file.Devices.Select(static d => new DeviceNames(
            d.Name.Text, d.Id, new([.. d.Queues.Select(static q => q.Name.Text)]), new([.. d.Features.Select(static f => new FeatureName((int)f.Value, f.Name.Text))])));
        return new FileSummary(path, file.File, new([.. declared.OrderBy(static d => d.Name.Pos.Start)]), new([.. snapshots]), file.Machines, new([.. devices]));
    }

    private static DeclarationSummary Plain(string kind, Name name) => new(kind, name, 0, false, null);
}
