using MicroVm.Diagnostics;
using Xunit;

namespace MicroVm.Tests.Diagnostics;

/// <summary>The probes on hosts that are folders of files.</summary>
public sealed class DoctorTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("microvm-doctor-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void An_empty_host_has_an_answer_to_every_probe_and_advice_for_what_is_not_well()
    {
        DoctorReport report = Examine();
        Assert.False(report.KvmUsable || report.StockGuests || report.Passthrough);
        foreach (DoctorRow row in report.Rows)
        {
            Assert.NotEmpty(row.Finding.Text);
            Assert.True(row.Finding.Status is DoctorStatus.Ok or DoctorStatus.NotAsked
                || row.Finding.Advice is not null, row.Name);
        }
    }

    [Fact]
    public void Without_KVM_its_rows_are_not_asked_and_make_up_no_values()
    {
        DoctorRow[] rows = [.. Examine().Rows.Where(static row => row.Group == "KVM")];
        Assert.Equal(("kvm-device", DoctorStatus.Missing), (rows[0].Name, rows[0].Finding.Status));
        Assert.All(rows[1..], static row =>
            Assert.Equal((DoctorStatus.NotAsked, null, null),
            (row.Finding.Status, row.Finding.Advice, row.Finding.Value)));
        Assert.DoesNotContain(Examine().Rows, static row =>
            row.Finding.Advice?.Contains("See kvm-device", StringComparison.Ordinal) == true);
    }

    [Theory]
    [InlineData("", "", "In a container: start that with --device /dev/kvm", "virtual machine")]
    [InlineData("hypervisor", "", "turn on nested virtualisation for it below", "This is a container")]
    [InlineData("", "run/.containerenv", "This is a container: start it with --device /dev/kvm", "virtual machine")]
    [InlineData("", ".dockerenv", "This is a container", "virtual machine")]
    public void Advice_for_want_of_KVM_fits_the_host(string flag, string file, string expected, string not)
    {
        Write("proc/cpuinfo", $"processor : 0\nflags : fpu {flag} sse\n");
        if (file.Length > 0) Write(file, "");
        Assert.Contains(expected, Finding("kvm-device").Advice, StringComparison.Ordinal);
        Assert.DoesNotContain(not, Finding("kvm-device").Advice, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("passt", "usr/bin/passt")]
    [InlineData("virtiofsd", "usr/libexec/virtiofsd")]
    [InlineData("qemu-storage-daemon", "usr/bin/qemu-storage-daemon")]
    [InlineData("iasl", "usr/bin/iasl")]
    public void Optional_programs_are_found_or_not(string name, string path)
    {
        Assert.Equal(DoctorStatus.Missing, Finding(name).Status);
        Write(path, "");
        Assert.Equal((DoctorStatus.Ok, "/" + path), (Finding(name).Status, Finding(name).Value));
    }

    [Fact]
    public void Names_are_unique_and_in_kebab_case()
    {
        List<string> names = [.. Examine().Rows.Select(static row => row.Name)];
        Assert.Equal(names.Count, names.Distinct().Count());
        Assert.All(names, static name => Assert.Matches("^[a-z0-9]+(-[a-z0-9]+)*$", name));
    }

    [Theory]
    [InlineData("never", "", "", DoctorStatus.Ok)]
    [InlineData("Y", "", "", DoctorStatus.Warn)]
    [InlineData("Y", "", "rw,favordynmods", DoctorStatus.Ok)]
    [InlineData("N", "Not affected", "rw", DoctorStatus.Warn)]
    public void Nx_huge_pages(string value, string affected, string cgroupOptions, DoctorStatus expected)
    {
        Write("sys/module/kvm/parameters/nx_huge_pages", value + "\n");
        Write("sys/devices/system/cpu/vulnerabilities/itlb_multihit", affected + "\n");
        Write("proc/self/mountinfo", $"30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 {cgroupOptions}\n");
        DoctorFinding finding = Finding("nx-huge-pages");
        Assert.Equal((expected, value), (finding.Status, finding.Value));
        if (affected.Length > 0) Assert.Contains("kvm.nx_huge_pages=never", finding.Advice, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("1 2 3 / /a rw - cgroup cgroup rw,cpu\n", "v1", DoctorStatus.Warn)]
    [InlineData("1 2 3 / /a rw - cgroup2 cgroup2 rw,favordynmods\n", "v2", DoctorStatus.Ok)]
    [InlineData("1 2 3 / /a rw - cgroup cgroup rw\n1 2 3 / /b rw - cgroup2 cgroup2 rw\n", "v1 and v2", DoctorStatus.Warn)]
    [InlineData("1 2 3 / / rw - ext4 /dev/vda rw\n", "none", DoctorStatus.Warn)]
    public void Cgroup(string mounts, string version, DoctorStatus expected)
    {
        Write("proc/self/mountinfo", mounts);
        DoctorFinding finding = Finding("cgroup");
        Assert.Equal((expected, version), (finding.Status, finding.Value));
    }

    [Theory]
    [InlineData("always madvise [never]", DoctorStatus.Warn)]
    [InlineData("always [madvise] never", DoctorStatus.Ok)]
    public void Transparent_huge_pages(string content, DoctorStatus expected)
    {
        Write("sys/kernel/mm/transparent_hugepage/enabled", content + "\n");
        Assert.Equal(expected, Finding("transparent-huge-pages").Status);
    }

    [Fact]
    public void Iommu_groups_are_counted()
    {
        Directory.CreateDirectory(Path.Combine(_root, "sys/kernel/iommu_groups/0"));
        Directory.CreateDirectory(Path.Combine(_root, "sys/kernel/iommu_groups/1"));
        Assert.Equal((DoctorStatus.Ok, "2"), (Finding("iommu").Status, Finding("iommu").Value));
    }

    [Fact]
    public void Iommufd_needs_its_file_and_files_of_devices()
    {
        Assert.Equal(DoctorStatus.Missing, Finding("iommufd").Status);
        Write("dev/iommu", "");
        Assert.Equal((DoctorStatus.Ok, "0"), (Finding("iommufd").Status, Finding("iommufd").Value));
        // A device is bound, and the kernel has made no file for it.
        Directory.CreateDirectory(Path.Combine(_root, "sys/class/vfio-dev/vfio0"));
        Assert.Equal(DoctorStatus.Warn, Finding("iommufd").Status);
        Write("dev/vfio/devices/vfio0", "");
        Assert.Equal((DoctorStatus.Ok, "1"), (Finding("iommufd").Status, Finding("iommufd").Value));
    }

    [Theory]
    [InlineData("vfio_iommu_type1")]
    [InlineData("iommufd")]
    public void Interrupts_that_are_not_checked_are_warned_of(string module)
    {
        Assert.Equal(DoctorStatus.Ok, Finding("interrupt-remapping").Status);
        Write("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N\n");
        Write($"sys/module/{module}/parameters/allow_unsafe_interrupts", "Y\n");
        Assert.Equal((DoctorStatus.Warn, "Y"), (Finding("interrupt-remapping").Status, Finding("interrupt-remapping").Value));
        Assert.Contains(module, Finding("interrupt-remapping").Text, StringComparison.Ordinal);
    }

    private DoctorReport Examine()
    {
        using DoctorHost host = DoctorHost.Fake(_root);
        return Doctor.Examine(host);
    }

    private DoctorFinding Finding(string name) => Examine().Rows.Single(row => row.Name == name).Finding;

    private void Write(string path, string text)
    {
        string file = Path.Combine(_root, path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text);
    }
}
