using MicroVm.Kvm;
using MicroVm.Vfio;
using Xunit;

namespace MicroVm.Tests.Vfio;

/// <summary>Binding and listing on a host that is a folder.</summary>
public sealed class SysfsTests : IDisposable
{
    private const string Disk = "0000:00:03.0", Other = "0000:00:04.0", Bridge = "0000:00:1e.0", Display = "0000:00:02.0";

    private readonly string _root = Directory.CreateTempSubdirectory("microvm-sysfs").FullName;
    private readonly HostPci _pci;

    public SysfsTests()
    {
        Function(Disk, 0x010802, "nvme", 3);
        Function(Other, 0x020000, null, 3);
        Function(Bridge, 0x060400, null, 4);
        Function(Display, 0x030000, "bochs", 5);
        File.WriteAllText($"{_root}/sys/bus/pci/devices/{Display}/boot_vga", "1\n");
        Directory.CreateDirectory($"{_root}/sys/bus/pci/drivers/vfio-pci");
        File.WriteAllText(Made("/sys/bus/pci/drivers_probe"), "");
        File.WriteAllText(Made("/sys/bus/pci/drivers/nvme/unbind"), "");
        Mounts("25 1 0:1 / / rw - rootfs rootfs rw");
        _pci = new HostPci(_root);
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData("0000:00:03.0", Disk)]
    [InlineData("00:03.0", Disk)]
    [InlineData("0000:0A:1F.7", "0000:0a:1f.7")]
    [InlineData("00:20.0", null)]
    [InlineData("00:03.8", null)]
    [InlineData("00:03", null)]
    [InlineData("", null)]
    [InlineData("../../etc:00.0", null)]
    [InlineData("0000:00:03.0:1", null)]
    public void Addresses(string text, string? expected) => Assert.Equal(expected, HostFunction.ParseAddress(text));

    [Fact]
    public void List_shows_class_driver_and_group()
    {
        Assert.Equal([Display, Disk, Other, Bridge], _pci.All().Select(static f => f.Address));
        HostFunction disk = _pci.Find("00:03.0");
        Assert.Equal(((ushort)0x1b36, (ushort)0x0010, 0x010802u, "nvme", 3), (disk.Vendor, disk.Device, disk.Class, disk.Driver, disk.Group));
        Assert.Equal([Disk, Other], _pci.Group(3).Select(static f => f.Address));
    }

    [Fact]
    public void Bind_takes_it_from_its_driver_and_unbind_gives_it_back()
    {
        IReadOnlyList<SysfsWrite> plan = Binding.PlanBind(_pci.Find(Disk));
        Assert.Equal(
            [
                $"echo vfio-pci > /sys/bus/pci/devices/{Disk}/driver_override",
                $"echo {Disk} > /sys/bus/pci/drivers/nvme/unbind",
                $"echo {Disk} > /sys/bus/pci/drivers_probe",
            ], plan.Select(static w => w.ToString()));
        HostFunction after = Binding.Apply(_pci.Find(Disk), plan);
        Assert.Equal("vfio-pci", File.ReadAllText($"{_root}/sys/bus/pci/devices/{Disk}/driver_override"));
        // A folder does not rebind: that is said, not passed over.
        Assert.Contains("bound to nvme", Assert.Throws<MicroVmException>(() => VfioBinding.CheckBound(after)).Message, StringComparison.Ordinal);

        HostFunction bound = after with { Driver = HostPci.VfioDriver };
        Assert.Empty(Binding.PlanBind(bound));
        Assert.Equal(
            [
                $"echo > /sys/bus/pci/devices/{Disk}/driver_override",
                $"echo {Disk} > /sys/bus/pci/drivers/vfio-pci/unbind",
                $"echo {Disk} > /sys/bus/pci/drivers_probe",
            ], VfioBinding.PlanUnbind(bound).Select(static w => w.ToString()));
        Assert.Empty(VfioBinding.PlanUnbind(after));
    }

    [Theory]
    [InlineData(Bridge, "bridge")]
    [InlineData(Display, "display")]
    [InlineData("0000:00:05.0", "no such PCI function")]
    [InlineData("nonsense", "no PCI address")]
    public void What_the_host_needs_is_refused(string address, string why) => Refused(address, why);

    [Fact]
    public void A_disk_with_the_root_file_system_is_refused_whatever_lies_between()
    {
        // / on dm-0, made of a partition of the disk.
        string partition = Made($"/sys/devices/pci0000:00/{Disk}/nvme/nvme0/nvme0n1/nvme0n1p2/partition");
        File.WriteAllText(partition, "2");
        string dm = Path.GetDirectoryName(Made("/sys/devices/virtual/block/dm-0/slaves/x"))!;
        Directory.CreateSymbolicLink($"{dm}/nvme0n1p2", Path.GetDirectoryName(partition)!);
        Directory.CreateDirectory($"{_root}/sys/dev/block");
        Directory.CreateSymbolicLink($"{_root}/sys/dev/block/253:0", Path.GetDirectoryName(dm)!);
        Assert.NotEmpty(Binding.PlanBind(_pci.Find(Disk)));
        Mounts("25 1 253:0 / / rw - ext4 /dev/dm-0 rw");
        Refused(Disk, "root file system");
        Mounts("25 1 253:0 / /data rw - ext4 /dev/dm-0 rw");
        Refused(Disk, "/data");
        Assert.NotEmpty(Binding.PlanBind(_pci.Find(Other)));
    }

    [Fact]
    public void Without_an_iommu_or_the_driver_nothing_is_bound()
    {
        Function("0000:00:06.0", 0x020000, null, null);
        Refused("0000:00:06.0", "IOMMU");
        Directory.Delete($"{_root}/sys/bus/pci/drivers/vfio-pci");
        Refused(Disk, "modprobe");
    }

    [Theory]
    [InlineData("0000:00:03.0", null, null, null, null, null)]
    [InlineData("0000:00:03.0,group=7,container=6", false, 7, 6, null, null)]
    [InlineData("0000:00:03.0,container=6", false, null, 6, null, null)]
    [InlineData("0000:00:03.0,iommufd=off,group=7", false, 7, null, null, null)]
    [InlineData("0000:00:03.0,iommufd=on", true, null, null, null, null)]
    [InlineData("0000:00:03.0,cdev=7", true, null, null, 7, null)]
    [InlineData("0000:00:03.0,cdev=7,iommufd=1", true, null, null, 7, 1)]
    public void A_device_may_come_with_its_way_and_with_open_descriptors(string text, bool? iommufd, int? group, int? container, int? cdev, int? file)
    {
        DeviceRequest request = DeviceRequest.Parse(text);
        Assert.Equal((Disk, iommufd, group, container, cdev, file), (request.Address, request.ByIommufd, request.Group, request.Container, request.Cdev, request.Iommufd));
        Assert.Equal((group ?? container ?? cdev ?? file) is not null, request.HasDescriptors);
    }

    [Theory]
    [InlineData("00:03.0,group=")]
    [InlineData("00:03.0,group=-1")]
    [InlineData("00:03.0,grup=3")]
    [InlineData("00:03.0,")]
    [InlineData("00:03.0,iommufd")]
    [InlineData("00:03.0,iommufd=maybe")]
    [InlineData("00:03.0,iommufd=on,group=7")]
    [InlineData("00:03.0,iommufd=off,cdev=7")]
    [InlineData("00:03.0,container=6,cdev=7")]
    public void Other_forms_are_refused_with_the_right_one(string text) =>
        Assert.Contains(DeviceRequest.Form, Assert.Throws<MicroVmException>(() => DeviceRequest.Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void Two_devices_of_one_group_cannot_be_kept_apart_by_an_iommu_in_the_guest()
    {
        HostFunction first = new("0000:00:03.0", 1, 2, 0x010802, "vfio-pci", 7, "dmar0", false);
        VfioRefusals.CheckApart([first, first with { Address = "0000:00:04.0", Group = 8 }]);
        string why = Assert.Throws<MicroVmException>(() => VfioRefusals.CheckApart([first, first with { Address = "0000:00:03.1" }])).Message;
        Assert.Contains("0000:00:03.0 and 0000:00:03.1 are in group 7", why, StringComparison.Ordinal);
    }

    // As with 'run --device': the host is at fault, not the words.
    [Fact]
    public void A_function_without_an_iommu_is_refused_alike_by_bind_and_run()
    {
        File.Delete($"{_root}/sys/bus/pci/devices/{Disk}/iommu_group");
        HostFunction function = _pci.Find(Disk);
        Assert.Null(function.Group);
        Assert.Equal(FailureKind.Host,
            Assert.Throws<MicroVmException>(() => VfioRefusals.Check(_pci, [function])).Kind);
        Assert.Equal(FailureKind.Host, Assert.Throws<MicroVmException>(() => Binding.PlanBind(function)).Kind);
    }

    [Fact]
    public void Refusals_say_what_to_do()
    {
        HostFunction disk = _pci.Find(Disk);
        Assert.Contains($"microvm vfio bind {Disk}", Assert.Throws<MicroVmException>(() => VfioRefusals.Check(_pci, [disk])).Message, StringComparison.Ordinal);
        HostFunction bound = disk with { Driver = HostPci.VfioDriver };
        VfioRefusals.Check(_pci, [bound]);
        Assert.Contains("twice", Assert.Throws<MicroVmException>(() => VfioRefusals.Check(_pci, [bound, bound])).Message, StringComparison.Ordinal);
        File.WriteAllText(Made("/dev/vfio/noiommu-3"), "");
        Assert.Contains("no IOMMU", Assert.Throws<MicroVmException>(() => VfioRefusals.Check(_pci, [bound])).Message, StringComparison.Ordinal);
        File.Delete($"{_root}/dev/vfio/noiommu-3");
        File.WriteAllText(Made("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"), "Y\n");
        Assert.Contains("--unsafe-interrupts", Assert.Throws<MicroVmException>(() => VfioRefusals.CheckInterrupts(_pci, iommufd: false)).Message, StringComparison.Ordinal);
        VfioRefusals.CheckInterrupts(_pci, iommufd: true);
        File.WriteAllText(Made("/sys/module/iommufd/parameters/allow_unsafe_interrupts"), "Y\n");
        Assert.Contains("Load iommufd without", Assert.Throws<MicroVmException>(() => VfioRefusals.CheckInterrupts(_pci, iommufd: true)).Message, StringComparison.Ordinal);
        string viable = VfioRefusals.NotViable(bound, [bound, _pci.Find(Other) with { Driver = "e1000e" }]).Message;
        Assert.Contains($"{Other} is bound to e1000e. microvm vfio bind {Other}", viable, StringComparison.Ordinal);
        Assert.Contains("ulimit -l", VfioRefusals.NotMapped(0, 1 << 28, 1 << 28, 12).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_file_of_a_device_alone_is_taken_where_it_was_asked_for_or_is_the_only_one()
    {
        DeviceRequest any = DeviceRequest.Parse(Disk), on = DeviceRequest.Parse($"{Disk},iommufd=on"), off = DeviceRequest.Parse($"{Disk},iommufd=off");
        // The kernel knows the device, and makes no file for it alone.
        string entry = Made($"/sys/devices/pci0000:00/{Disk}/vfio-dev/vfio7/uevent");
        File.WriteAllText(entry, "");
        Assert.Null(_pci.Find(Disk).Cdev);
        Assert.False(any.UsesIommufd(_pci, _pci.Find(Disk)));
        File.WriteAllText(Path.Combine(Path.GetDirectoryName(entry)!, "dev"), "510:0\n");
        HostFunction disk = _pci.Find(Disk);
        Assert.Equal("/dev/vfio/devices/vfio7", disk.Cdev);
        Assert.Equal((true, true, false), (any.UsesIommufd(_pci, disk), on.UsesIommufd(_pci, disk), off.UsesIommufd(_pci, disk)));
        File.WriteAllText(Made("/dev/vfio/3"), "");
        Assert.Equal((false, true, false), (any.UsesIommufd(_pci, disk), on.UsesIommufd(_pci, disk), off.UsesIommufd(_pci, disk)));
    }

    [Fact]
    public void Refusals_of_iommufd_say_what_to_do()
    {
        HostFunction disk = _pci.Find(Disk) with { Driver = HostPci.VfioDriver, Cdev = "/dev/vfio/devices/vfio7" }, other = _pci.Find(Other);
        Contains("modprobe iommufd", VfioRefusals.NoIommufd(Libc.ENOENT));
        Contains("chown USER /dev/iommu", VfioRefusals.NoIommufd(Libc.EACCES));
        Contains("CONFIG_VFIO_DEVICE_CDEV", VfioRefusals.NoCdev(disk));
        Contains("chown USER /dev/vfio/devices/vfio7", VfioRefusals.NoCdev(disk, Libc.EACCES));
        // Alone in its group there is one reason for which it cannot be had.
        Contains("load iommufd with allow_unsafe_interrupts=1", VfioRefusals.NotBound(disk, [disk], Libc.EPERM));
        Contains($"microvm vfio bind {Other}", VfioRefusals.NotBound(disk, [disk, other with { Driver = "e1000e" }], Libc.EPERM));
        Contains("Another machine", VfioRefusals.NotBound(disk, [disk, other], Libc.EPERM));
        Contains("Another machine", VfioRefusals.NotBound(disk, [disk], Libc.EBUSY));
        Contains("Another machine", VfioRefusals.NotBound(disk, [disk], Libc.EINVAL));

        static void Contains(string what, MicroVmException refusal) => Assert.Contains(what, refusal.Message, StringComparison.Ordinal);
    }

    private VfioBinding Binding => new(_pci, new HostMounts(_root));

    private void Refused(string address, string why) =>
        Assert.Contains(why, Assert.Throws<MicroVmException>(() => Binding.PlanBind(_pci.Find(address))).Message, StringComparison.Ordinal);

    private void Mounts(string line) => File.WriteAllText(Made("/proc/self/mountinfo"), line + "\n");

    private string Made(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_root + path)!);
        return _root + path;
    }

    private void Function(string address, uint @class, string? driver, int? group)
    {
        string at = Made($"/sys/devices/pci0000:00/{address}/vendor");
        string folder = Path.GetDirectoryName(at)!;
        File.WriteAllText(at, "0x1b36\n");
        File.WriteAllText($"{folder}/device", "0x0010\n");
        File.WriteAllText($"{folder}/class", $"0x{@class:x6}\n");
        File.WriteAllText($"{folder}/driver_override", "(null)\n");
        if (driver is not null) Directory.CreateSymbolicLink($"{folder}/driver", $"../../../bus/pci/drivers/{driver}");
        if (group is not null) Directory.CreateSymbolicLink($"{folder}/iommu_group", $"../../../kernel/iommu_groups/{group}");
        Directory.CreateDirectory($"{_root}/sys/bus/pci/devices");
        Directory.CreateSymbolicLink($"{_root}/sys/bus/pci/devices/{address}", $"../../../devices/pci0000:00/{address}");
    }
}
